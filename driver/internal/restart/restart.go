// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package restart decides where a run begins: with its deck, with a dump, or, where
// its allocation has completed it, not at all. It goes by the record in the run folder
// and writes it. Its functions make system calls there: the run's watcher calls them.
package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Run is the run that is to begin.
type Run struct {
	Deck    deck.Deck
	Solver  lsdyna.Solver
	Options launch.Options
	Command launch.Command
	Stdout  string          // the name of the file that takes the solver's stdout
	Watch   json.RawMessage // bounds of the run's health
	Dump    string          // with which the job says that it begins; "": with the newest, or the deck
}

// Choice is where a run begins.
type Choice struct {
	rundir.RestartChoice
	Both  bool     // the deck stands beside the dump: a small restart, or a full one
	Notes []string // for events
}

// Choose takes the newest complete dump of an earlier start of this very run, told by
// what is recorded in the run folder. What cannot be told now is a recoverable error:
// nothing is begun anew, and no record replaced, on a doubt.
func Choose(ctx context.Context, f *rundir.Folder, r Run) (Choice, error) {
	now, err := identity.New(r.Deck.Hash, r.Solver, r.Options, r.Command)
	if err != nil {
		return Choice{}, unsure(err)
	}
	if r.Dump != "" {
		return r.chooseNamed(ctx, f, now)
	}
	if launch.HasCases(r.Options.Args) {
		return r.beginCases(ctx, f, now)
	}
	recorded, err := f.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.beginUnrecorded(ctx, f, now)
	case err == nil && recorded.Identity == identity.Identity{}:
		return r.begin(ctx, f, now)
	case errors.Is(err, rundir.ErrBadRecord):
		return r.beginWithoutRecord(ctx, f, now, err)
	case err != nil:
		return Choice{}, unsure(err)
	}
	if from := recorded.From; from != nil && from.Deck == now.Deck {
		now.Deck = recorded.Identity.Deck // it goes on with the run that wrote the named dump
	}
	if recorded.Identity == now && recorded.Watch.Holds(r.Watch) {
		return Choice{}, stoppedBefore(recorded.Watch)
	}
	recorded.Watch = nil
	if err := r.checkLost(recorded, now); err != nil {
		return Choice{}, err
	}
	if recorded.From != nil && recorded.Identity != now {
		recorded.From = nil // another run, and its deck is the beginning
	}
	return r.goOn(ctx, f, now, recorded)
}

// stoppedBefore is the error of a start that would meet again what its run was stopped
// for. Nomad's restart policy does not try it again: nothing changes by that.
func stoppedBefore(w *ended.WatchStop) error {
	return fmt.Errorf("the run in this folder was %s: from its dump, or its deck, it would come to the same. Change the deck, and it begins anew; change or remove that bound in watch, and it goes on from its dump; restart = \"never\" or the name of a dump starts it as it is", w)
}

// unsure is the error of a start that cannot tell where it would begin.
func unsure(err error) error {
	return structs.NewRecoverableError(fmt.Errorf("cannot tell whether there is a dump to go on from: %w", err), true)
}

// begin records in the run folder which run begins there with its deck. Without that
// record its dumps would be nobody's, so it does not begin without one.
func (r Run) begin(ctx context.Context, f *rundir.Folder, id identity.Identity, notes ...string) (Choice, error) {
	record, err := rundir.NewRecord(ctx, f, id, r.Stdout)
	if err == nil {
		record.Reads(r.Deck)
		err = f.WriteRecord(record)
	}
	if err != nil {
		return Choice{}, structs.NewRecoverableError(fmt.Errorf(
			"a later start could not go on from this run's dumps: %w; restart = \"never\" starts all the same", err), true)
	}
	return Choice{Notes: notes}, nil
}

// beginCases begins with the deck a process that makes several runs: a dump is of one of
// them, and a restart from it would make none of the others.
func (r Run) beginCases(ctx context.Context, f *rundir.Folder, id identity.Identity) (Choice, error) {
	dumps, err := f.Dumps()
	if err != nil {
		return Choice{}, unsure(err)
	}
	if len(dumps) == 0 {
		return r.begin(ctx, f, id)
	}
	return r.begin(ctx, f, id, "Starting from the deck: with \"case\" the process makes several runs, and a dump is of one of them; to go on with one, name its dump in restart and leave \"case\" out of args")
}

// beginUnrecorded begins with the deck where there is no record, unless there was one:
// a file server may not show every file at once, and somebody may have removed it.
func (r Run) beginUnrecorded(ctx context.Context, f *rundir.Folder, id identity.Identity) (Choice, error) {
	past, err := f.History()
	if rundir.Unavailable(err) {
		return Choice{}, unsure(err)
	}
	auto := settings.Restart{Mode: settings.RestartAuto}.String() // such runs have a record
	switch {
	case err != nil:
		err = refuseDumps(f, fmt.Errorf("the run's record %s is missing, and so may be its history: %w", rundir.RecordFile, err))
	case slices.ContainsFunc(past, func(p output.PastRun) bool { return p.Restart == auto }):
		err = refuseDumps(f, errRecordMissing)
	}
	if err != nil {
		return Choice{}, err
	}
	return r.begin(ctx, f, id)
}

// beginWithoutRecord begins with the deck where a record is damaged and there is no
// dump that it could have told of. The record is kept aside.
func (r Run) beginWithoutRecord(ctx context.Context, f *rundir.Folder, id identity.Identity, damage error) (Choice, error) {
	if err := refuseDumps(f, damage); err != nil {
		return Choice{}, err
	}
	if err := f.SetRecordAside(); err != nil {
		return Choice{}, unsure(err)
	}
	return r.begin(ctx, f, id, fmt.Sprintf("Starting from the deck: %v; it was renamed to %s", damage, rundir.BadRecordFile))
}

// errRecordMissing is the error of a folder whose history tells of a record.
var errRecordMissing = fmt.Errorf("the run's record %s is missing, and %s tells of runs that had one", rundir.RecordFile, rundir.HistoryFile)

// refuseDumps returns an error where there are dumps that a lost record could have told
// of.
func refuseDumps(f *rundir.Folder, lost error) error {
	dumps, err := f.Dumps()
	if err != nil {
		return unsure(err)
	}
	n := len(dumps)
	if n == 0 {
		return nil
	}
	return structs.NewRecoverableError(fmt.Errorf(
		"%w: nothing tells whether %s and the other dumps there (%d in all) are of this run. Put the record back if you can; restart = \"%s\" goes on from that dump; restart = \"never\", or moving the dumps away, begins with the deck",
		lost, dumps[n-1], n, dumps[n-1]), true)
}

// Completed returns the record of the run that was completed in the folder and that
// nobody has begun anew since; nil where there is none. id is the task that asks. Where the record is
// lost and the history tells that this very task completed its run, nothing is begun
// over its results.
func Completed(f *rundir.Folder, id state.ID) (*rundir.Record, error) {
	recorded, err := f.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, rundir.ErrBadRecord):
		return nil, refuseCompleted(f, id, err) // of what is damaged beside that Choose speaks
	case err != nil:
		return nil, doubtCompletion(err)
	case recorded.Completed == nil:
		return nil, nil
	}
	return &recorded, nil
}

func doubtCompletion(err error) error {
	return structs.NewRecoverableError(fmt.Errorf("cannot tell whether the run was completed before: %w", err), true)
}

// refuseCompleted returns an error where, by the history, the last run in the folder was
// this task's and completed.
func refuseCompleted(f *rundir.Folder, id state.ID, lost error) error {
	past, err := f.History()
	if rundir.Unavailable(err) {
		return doubtCompletion(err)
	}
	if len(past) == 0 {
		return nil
	}
	last := past[len(past)-1]
	if last.Outcome != output.Completed || !strings.HasPrefix(last.Run, id.Alloc+"/"+id.Task+"/") {
		return nil
	}
	if errors.Is(lost, fs.ErrNotExist) {
		lost = errRecordMissing
	}
	return structs.NewRecoverableError(fmt.Errorf(
		"%w: this allocation has completed its run already, by %s, and nothing is begun over its results. Put the record back if you can; to compute them again, stop the job and run it again (nomad job stop -purge, nomad job run)",
		lost, rundir.HistoryFile), true)
}
