// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
)

// Nomad's client asks for every task that it knows when it starts, before anything else.
// A run that it does not ask for has no allocation any more: the client's data_dir was
// removed, or the client has another one. It keeps its cores, and only an operator ends
// it.

// IsUnclaimed reports whether Nomad should have asked for the run by now.
func (h *Handle) IsUnclaimed() bool {
	return h.adopted && !h.IsAttached() && !h.IsGone() && time.Since(h.found) > h.patience.Unclaimed
}

// checkClaimed notes in the record, for the operators' commands, that Nomad does not ask
// for the run.
func (h *Handle) checkClaimed() {
	if h.alerts.unclaimed || !h.IsUnclaimed() {
		return
	}
	h.alerts.unclaimed = true
	h.logger.Warn("Nomad does not ask for a run that lives: its allocation is gone", "pid", h.PID(), "way_out", h.WayOut())
	if err := h.kept.NoteUnclaimed(h.found); err != nil {
		h.logger.Warn("cannot note that Nomad does not ask for a run", "error", err)
	}
	if h.IsAttached() { // just now
		_ = h.kept.NoteClaimed()
	}
}

// Name names the run, as other nodes name it.
func (h *Handle) Name() string {
	if d := h.Details(); d != nil {
		return runfolder.Owner(h.ID, d).String()
	}
	return "task " + h.ID.String()
}

// WayOut says how the run is ended by hand.
func (h *Handle) WayOut() string {
	if h.IsAttached() {
		return "nomad alloc stop " + h.ID.Alloc + " ends it"
	}
	reap := fmt.Sprintf("nomad-driver-lsdyna reap -kill %s/%s ends it, with a dump", h.ID.Alloc, h.ID.Task)
	if h.IsUnclaimed() {
		return "Nomad has no allocation for it any more, and " + reap
	}
	return "Nomad has not asked for it yet; where its allocation is gone, " + reap
}

// mostNamed is how many runs without an allocation health names.
const mostNamed = 3

// DescribeUnclaimed says, for the node's health, which runs keep their cores although
// Nomad does not know them any more; nothing where there are none.
func DescribeUnclaimed(runs []*Handle) []string {
	if len(runs) == 0 {
		return nil
	}
	slices.SortFunc(runs, func(a, b *Handle) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	var names []string
	for _, h := range runs[:min(len(runs), mostNamed)] {
		names = append(names, h.ID.Alloc+"/"+h.ID.Task)
	}
	if more := len(runs) - mostNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	what := "1 run"
	if len(runs) > 1 {
		what = fmt.Sprintf("%d runs", len(runs))
	}
	return []string{fmt.Sprintf("%s without an allocation: %s (nomad-driver-lsdyna reap -kill ALLOC/TASK ends one, with a dump)", what, strings.Join(names, ", "))}
}
