// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// noDumpGrace is how long a run that must give way and has nothing to dump has for
// its signal.
const noDumpGrace = 10 * time.Second

// GiveWay ends a live run that nobody asked to stop: another start of its task takes
// its place, or Nomad does not know it any more. It is a stop, dump first, of which
// nobody says how long it may take.
func (h *Handle) GiveWay(ctx context.Context) error {
	grace := h.patience.Dump
	s, dumps := h.maySwitch(ctx)
	if dumps {
		grace += 2 * s.SwitchDelay
	} else {
		grace = min(grace, noDumpGrace)
	}
	return h.Stop(ctx, grace, syscall.SIGTERM)
}

// maySwitch reports whether a stop will send a sense switch, as far as can be told in
// a moment. A folder that does not answer may yet.
func (h *Handle) maySwitch(ctx context.Context) (output.Snapshot, bool) {
	r := h.run.Load()
	if r == nil || r.Stop == "" {
		return output.Snapshot{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	v, err := h.firstLook(ctx, r)
	if err != nil {
		return v.Snapshot, true
	}
	return v.Snapshot, v.Snapshot.Phase != output.PhaseStarting && v.Snapshot.Phase != output.PhaseLicence
}
