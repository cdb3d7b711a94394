// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// licencePatience is how long a solver may be without a licence before an event
// says so: most have it within a second or two.
const licencePatience = 5 * time.Second

// checkLicence says when the solver waits for a licence, and when it got it, if
// only when the run is over: it is silent meanwhile, and holds its cores.
func (t *task) checkLicence() {
	t.mu.Lock()
	s, said := t.snapshot, t.unlicensed
	waited := time.Since(t.beganAt())
	words := ""
	switch waits := s.Phase == output.PhaseLicence && !s.LicenceGranted && t.res == nil; {
	case waits && !said && (s.LicenceWaiting || waited > licencePatience):
		words = fmt.Sprintf("Waiting for a licence, for %s now%s", waited.Round(time.Second), t.waitLimit())
		if s.LicenceTrouble != "" {
			words += ": " + s.LicenceTrouble
		}
		t.unlicensed = true
	case said && s.LicenceGranted:
		words = fmt.Sprintf("Got a licence within %s", waited.Round(time.Second))
		t.unlicensed = false
	}
	t.mu.Unlock()
	if words != "" {
		t.say(words)
	}
}

func (t *task) waitLimit() string {
	if t.details.StartTimeout <= 0 {
		return " (start_timeout is 0s: without end)"
	}
	return fmt.Sprintf(" (start_timeout %s)", t.details.StartTimeout)
}
