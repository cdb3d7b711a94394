// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/deck"
)

// cases makes one run for each *CASE of the deck, one after the other, and gives the exit
// code of the last. A run that fails or is stopped does not keep the next from being made.
// The deck is the same for all.
func (r *run) cases(screen io.Writer) int {
	d, err := deck.Read(r.args.Input, deck.Options{Long: r.args.Long})
	if err != nil || len(d.Cases) == 0 {
		return r.whole(screen) // which says what is wrong with the deck
	}
	code := exitNormal
	for n, c := range d.Cases {
		if len(r.args.CaseIDs) > 0 && !slices.Contains(r.args.CaseIDs, c.ID) {
			continue
		}
		one := r.forCase(n+1, c)
		if code = one.whole(screen); one.alone {
			r.alone = true
			return code
		}
	}
	return code
}

// forCase is the run of the nth case. Its files have the case's name before theirs.
func (r *run) forCase(n int, c deck.Case) *run {
	one := &run{args: r.args, id: r.id, ranks: r.ranks, affinity: r.affinity, stderr: r.stderr, pace: r.pace, poll: r.poll, typed: r.typed, team: r.team}
	one.args.JobID = c.JobID
	if c.JobID == "" {
		one.args.JobID = fmt.Sprintf("case%d", c.ID)
	}
	one.args.Words = append(slices.Clone(r.args.Words), "jobid="+one.args.JobID)
	one.prefix = one.args.JobID + "."
	one.watch.start = time.Now()
	one.watch.last = one.watch.start
	if one.faults = maps.Clone(r.faults); r.faults.has("case") && int(r.faults.number("case", 0)) != n {
		one.faults = Faults{}
	}
	return one
}
