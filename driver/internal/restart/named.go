// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// chooseNamed is Choose for a job that names the dump with which its run begins. It
// begins there once. A later start of the same run goes on from what it has written since:
// its dumps hold what a small restart has changed, such as the termination time.
func (r Run) chooseNamed(ctx context.Context, f *rundir.Folder, now identity.Identity) (Choice, error) {
	recorded, err := f.ReadRecord()
	switch {
	case errors.Is(err, rundir.ErrBadRecord):
		if err := f.SetRecordAside(); err != nil {
			return Choice{}, unsure(err)
		}
		return r.beginNamed(ctx, f, now, rundir.Record{})
	case errors.Is(err, fs.ErrNotExist):
		return r.beginNamed(ctx, f, now, rundir.Record{})
	case err != nil:
		return Choice{}, unsure(err)
	case recorded.From == nil || recorded.From.Dump != r.Dump:
		return r.beginNamed(ctx, f, now, recorded)
	}
	if err := r.checkLost(recorded, now); err != nil {
		return Choice{}, err
	}
	if recorded.Identity != now {
		return r.beginNamed(ctx, f, now, recorded)
	}
	if recorded.Watch.Holds(r.Watch) {
		return Choice{}, stoppedBefore(recorded.Watch)
	}
	recorded.Watch = nil
	return r.goOn(ctx, f, now, recorded)
}

// beginNamed begins with the dump that the job names. was is the record of the run before.
func (r Run) beginNamed(ctx context.Context, f *rundir.Folder, id identity.Identity, was rundir.Record) (Choice, error) {
	choice, err := r.from(f, id, r.Dump)
	if err != nil {
		return Choice{}, err
	}
	choice.Notes = []string{events.Sentence(choice.Why) + ", as the job says" + r.unused(choice)}
	choice.Why += ", as the job says"
	record, err := rundir.NewRecord(ctx, f, id, r.Stdout)
	if err == nil {
		record.Reads(r.Deck)
		record.From = &rundir.Beginning{Dump: r.Dump, Deck: deckOf(was)}
		err = f.WriteRecord(record)
	}
	switch {
	case rundir.Unavailable(err):
		return Choice{}, unsure(err)
	case err != nil:
		choice.Notes = append(choice.Notes, fmt.Sprintf("A later start begins with %s again, since this run's own dumps cannot be told from others: %v", r.Dump, err))
	}
	return choice, nil
}

// deckOf is the deck of the run that wrote the dumps in a folder, by its record.
func deckOf(was rundir.Record) string {
	deck := was.Identity.Deck
	if was.Completed != nil {
		deck = was.Completed.Deck
	}
	if was.From != nil {
		deck = cmp.Or(was.From.Deck, deck)
	}
	return deck
}

// goOn goes on with the recorded run: from its newest dump, or, where it has written none,
// from the dump or the deck with which it began.
func (r Run) goOn(ctx context.Context, f *rundir.Folder, now identity.Identity, recorded rundir.Record) (Choice, error) {
	chosen, err := rundir.SelectRestart(ctx, f, recorded, now, r.Stdout)
	if err != nil {
		return Choice{}, unsure(err)
	}
	choice := Choice{RestartChoice: chosen, Notes: []string{events.Sentence(chosen.Why)}}
	recorded.Chosen = &choice.Said
	switch {
	case chosen.Dump == "" && recorded.From == nil:
		return r.begin(ctx, f, now, choice.Notes...)
	case chosen.Dump == "":
		if choice, err = r.from(f, now, recorded.From.Dump); err != nil {
			return Choice{}, err
		}
		choice.Why += ", with which this run began"
		choice.Notes = []string{events.Sentence(choice.Why) + r.unused(choice)}
		recorded.Chosen = nil
	case recorded.From != nil:
		choice.Why += "; this run began with " + recorded.From.Dump
		choice.Notes = []string{events.Sentence(choice.Why)}
	}
	recorded.Reads(r.Deck)
	if err := f.WriteRecord(recorded); err != nil {
		choice.Notes = append(choice.Notes, fmt.Sprintf("A dump that turns out to be bad will be tried again: %v", err))
	}
	return choice, nil
}

// from begins with a dump, beside the deck where that is not the one of the run from its
// beginning: that one the solver would refuse.
func (r Run) from(f *rundir.Folder, id identity.Identity, dump string) (Choice, error) {
	ranks := 0
	if id.Parallel != lsdyna.SMP {
		ranks = id.Ranks
	}
	if err := checkDump(f, dump, r.Solver, ranks); err != nil {
		return Choice{}, err
	}
	if lsdyna.IsFullDump(dump) && r.Deck.Model == "" && r.Deck.Unread == "" {
		return Choice{}, fmt.Errorf("restart: a full restart from %s takes a whole deck, and %s defines no model (no *NODE, *ELEMENT, *PART, *SECTION or *MAT): name the whole deck in input, or a d3dump in restart for a small restart", dump, r.Options.Input)
	}
	choice := Choice{RestartChoice: rundir.RestartChoice{Dump: dump, Said: output.Dump{Name: dump}}}
	switch {
	case lsdyna.IsFullDump(dump), r.Deck.Model != "" && r.Deck.FromStresses:
		choice.Both = true
		choice.Why = fmt.Sprintf("full restart from %s with the deck %s", dump, r.Options.Input)
	case r.Deck.Whole():
		choice.Why = "restarting from " + dump
	default:
		choice.Both = true
		choice.Why = fmt.Sprintf("small restart from %s with %s", dump, r.Options.Input)
	}
	return choice, nil
}

// unused says why the solver is not given the deck.
func (r Run) unused(c Choice) string {
	if c.Both {
		return ""
	}
	return fmt.Sprintf("; %s is not given to the solver, since the dump holds the model: %s. The deck of a small restart has nothing but what changes, e.g. *CONTROL_TERMINATION", r.Options.Input, r.Deck.Why())
}

// checkLost returns an error where the deck differs from that of the recorded run, and a
// file that it includes and that was read then cannot be opened now.
func (r Run) checkLost(recorded rundir.Record, now identity.Identity) error {
	lost := recorded.Lost(r.Deck)
	if recorded.Identity.Deck == now.Deck || lost == "" {
		return nil
	}
	return structs.NewRecoverableError(fmt.Errorf(
		"input: %s, which the deck includes and the run in this folder has read, cannot be opened now: put it back, where the task's user may read it, and the run goes on from its dump; restart = \"never\" begins anew", lost), true)
}
