// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

// KillFile is the file from which LS-DYNA takes sense switches. It reads and
// deletes the file about every 100 cycles of an explicit run and at each step of an
// implicit one. With a slow model this takes minutes.
const KillFile = "d3kil"

// Switch is a sense switch that LS-DYNA takes from a file d3kil.
type Switch struct {
	Name       string // as written into d3kil, e.g. "sw1."
	Help       string
	Terminates bool // the run ends
	Dumps      bool // a restart file is written
}

// switches in the order in which LS-DYNA prints them at its start. sw5 opens
// interactive graphics, which a batch run has not, and is left out.
var switches = []Switch{
	{Name: "sw1.", Help: "write a restart file and terminate", Terminates: true, Dumps: true},
	{Name: "sw2.", Help: "report time and cycle"},
	{Name: "sw3.", Help: "write a restart file and go on", Dumps: true},
	{Name: "sw4.", Help: "write a plot state and go on"},
	{Name: "swa.", Help: "flush all output buffers"},
	{Name: "swb.", Help: "write a dynain file and go on"},
	{Name: "swc.", Help: "write a restart and a dynain file and go on", Dumps: true},
	{Name: "swd.", Help: "write a restart and a dynain file and terminate", Terminates: true, Dumps: true},
	{Name: "swe.", Help: "end dynamic relaxation as though converged"},
	{Name: "stop", Help: "terminate without a restart file", Terminates: true},
	{Name: "quit", Help: "terminate without a restart file", Terminates: true},
	{Name: "lpri", Help: "toggle output of the implicit linear algebra"},
	{Name: "nlpr", Help: "toggle output of the implicit nonlinear solver"},
	{Name: "iter", Help: "toggle the implicit d3iter database"},
	{Name: "prof", Help: "write timing data to messag and go on"},
	{Name: "conv", Help: "take the current implicit step as converged"},
	{Name: "ttrm", Help: "reduce and retry the current implicit step"},
	{Name: "rtrm", Help: "terminate at the end of the current implicit step", Terminates: true},
}

// ParseSwitch reads a switch as users write it ("sw1", "SW1.", "stop",
// "endtime=0.02") and returns it as LS-DYNA reads it.
func ParseSwitch(text string) (Switch, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	if value, ok := strings.CutPrefix(name, "endtime="); ok {
		t, ok := fortran.Float([]byte(value))
		printed := func(r rune) bool { return r > ' ' && r < 0x7f } // one word, on the one line of the file
		if !ok || t <= 0 || strings.TrimFunc(value, printed) != "" {
			return Switch{}, fmt.Errorf("sense switch %q: endtime needs a problem time above 0, e.g. endtime=0.02", text)
		}
		return Switch{Name: "endtime=" + value, Help: "change the termination time"}, nil
	}
	for _, sw := range switches {
		if name == sw.Name || name+"." == sw.Name {
			return sw, nil
		}
	}
	names := make([]string, len(switches))
	for i, sw := range switches {
		names[i] = strings.TrimSuffix(sw.Name, ".")
	}
	return Switch{}, fmt.Errorf("%q is not a sense switch; use one of %s or endtime=T", text, strings.Join(names, ", "))
}
