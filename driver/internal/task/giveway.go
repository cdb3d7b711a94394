// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// How long a run has at most that must give way, where Patience.Dump is of no use.
const (
	noDumpGrace = 10 * time.Second // it has nothing to dump, and only gets a signal
	silentGrace = time.Minute      // its folder does not answer, so no dump can be asked for now
)

// GiveWay ends a live run that nobody asked to stop: another start of its task takes
// its place, or Nomad does not know it any more. It is a stop, dump first, of which
// nobody says how long it may take.
func (h *Handle) GiveWay(ctx context.Context) error {
	return h.Stop(ctx, h.grace(ctx), syscall.SIGTERM)
}

// grace is how long the run may take to give way, as far as can be told in a moment.
func (h *Handle) grace(ctx context.Context) time.Duration {
	most := h.patience.Dump
	r := h.run.Load()
	if r == nil || r.Stop == "" {
		return min(most, noDumpGrace)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	v, err := h.firstLook(ctx, r)
	switch {
	case err != nil:
		return min(most, silentGrace)
	case v.Snapshot.Phase == output.PhaseStarting, v.Snapshot.Phase == output.PhaseLicence:
		return min(most, noDumpGrace)
	}
	return most + 2*v.Snapshot.SwitchDelay
}
