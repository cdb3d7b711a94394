// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/internal/names"
)

// RecordFile is the file in the run folder that keeps a run's identity. It is there
// and not in the driver's state, so that it moves to another client with the folder.
const RecordFile = ".lsdyna-run.json"

// Record is what RecordFile holds. The task's user can forge it. All that this can
// do is to start the user's own run from a dump of this folder.
type Record struct {
	Identity identity.Identity `json:"identity"`
	Started  time.Time         `json:"started"`            // of the first start from the deck, by our clock
	Includes []string          `json:"includes,omitempty"` // files that the deck includes and that could be read
	Included names.Filter      `json:"included,omitempty"` // the same, where they are too many to be named
	Earlier  []output.Dump     `json:"earlier,omitempty"`  // dumps of other runs, by the outputs that were there at that start
	Chosen   *output.Dump      `json:"chosen,omitempty"`   // dump that the last start began with
	Bad      []output.Dump     `json:"bad,omitempty"`      // dumps that the solver could not begin with
	Before   []DumpFile        `json:"before"`             // dumps that were there at that start, the newest; nil in records of a version that did not look
	Whole    []WholeDump       `json:"whole,omitempty"`    // dumps that were seen complete, those among them behind which the solver was silent
	Asked    []AskedDump       `json:"asked,omitempty"`    // dumps that sense switches of ours brought about
	Ours     *output.Dump      `json:"ours,omitempty"`     // up to this one all dumps were such, those among them that were removed since

	From *Beginning `json:"from,omitempty"` // dump that the run began with, where its job named one; nil: with the deck

	// Completed: the last run in the folder is this one, and LS-DYNA completed it. All
	// else but what its deck includes is empty then. Who forges it keeps the user's own
	// task from computing.
	Completed *ended.Completion `json:"completed,omitempty"`

	Watch *ended.WatchStop `json:"watch,omitempty"` // the run was stopped for what its model does
}

// Beginning is a dump, named by the job, with which a run began instead of the deck.
type Beginning struct {
	Dump string `json:"dump"`           // as r= takes it
	Deck string `json:"deck,omitempty"` // Identity.Deck of the run that wrote it, "" where that is not known
}

// DumpFile is the files of a dump, as they were at one time.
type DumpFile struct {
	Name    string    `json:"name"` // as r= takes it
	Bytes   int64     `json:"bytes"`
	ModTime time.Time `json:"mtime"`
}

// WholeDump is a dump that was seen complete: the solver had printed its line, and its
// files were there and did not grow any more.
type WholeDump struct {
	output.Dump
	Bytes int64 `json:"bytes"` // of all its files
}

// AskedDump is a whole dump that a sense switch of ours brought about.
type AskedDump struct {
	WholeDump
	File       string    `json:"file"` // as r= takes it
	ModTime    time.Time `json:"mtime"`
	Checkpoint bool      `json:"checkpoint,omitempty"` // it is removed when there are enough newer ones
}

// IsThere reports whether files are those of the dump, as they were.
func (a AskedDump) IsThere(files DumpFiles, ranks int) bool {
	return files.Name == a.File && files.Whole(ranks) && files.Bytes == a.Bytes && files.ModTime.Equal(a.ModTime)
}

// maxRecord bounds a record, in bytes, and the others how many dumps of other runs, bad
// ones and whole ones it holds, which take some 100 bytes each.
const (
	maxRecord  = 128 << 10
	maxEarlier = 256
	maxBad     = 64
	maxWhole   = 16
	maxBefore  = 32
	maxAsked   = 64
)

// NewRecord begins the record of a run that starts from the deck. The dumps that the
// folder's outputs name up to now are of other runs. Their times would not show it:
// in a folder that Nomad moves to another client every file has a new time. stdout is
// as for SelectRestart.
func NewRecord(ctx context.Context, folder *Folder, id identity.Identity, stdout string) (Record, error) {
	printed, err := folder.printedDumps(ctx, id.JobID, stdout, passOver)
	if err != nil {
		return Record{}, err
	}
	found, err := folder.AllDumps()
	if err != nil {
		return Record{}, err
	}
	before := make([]DumpFile, 0, len(found))
	for name, d := range found {
		before = append(before, DumpFile{Name: name, Bytes: d.Bytes, ModTime: d.ModTime.UTC()})
	}
	slices.SortFunc(before, func(a, b DumpFile) int { return cmp.Or(b.ModTime.Compare(a.ModTime), cmp.Compare(a.Name, b.Name)) })
	return Record{
		Identity: id, Started: time.Now(), Earlier: printed[:min(len(printed), maxEarlier)], Before: before[:min(len(before), maxBefore)],
	}, nil
}

// isOlder reports whether the files of a dump are older than the run: they are as they
// were when it began. Their times alone would not tell, by whatever clock: clocks are
// set, and a copy of the folder is of another one. The record of a version that did not
// look has nothing else.
func (r Record) isOlder(d DumpFiles) bool {
	if r.Before == nil {
		return d.ModTime.Before(r.Started.Add(-clockStep))
	}
	return slices.ContainsFunc(r.Before, func(b DumpFile) bool {
		return b.Name == d.Name && b.Bytes == d.Bytes && b.ModTime.Equal(d.ModTime)
	})
}

// RejectChosen notes that the solver could not go on from the dump of the last
// start. It holds until the solver writes a dump of that name again.
func (r *Record) RejectChosen() {
	if r.Chosen != nil {
		r.Bad = append(r.Bad, *r.Chosen)
		r.Bad = r.Bad[max(len(r.Bad)-maxBad, 0):]
		r.Chosen = nil
	}
}

// sawWhole reports whether a dump was seen complete, as its files are now.
func (r Record) sawWhole(d output.Dump, files DumpFiles) bool {
	return slices.ContainsFunc(r.Whole, func(w WholeDump) bool { return w.Same(d) && w.Bytes == files.Bytes })
}

// NoteWhole notes in the run's record that a dump was seen complete, so that a later
// start takes it also where the solver printed nothing more before it was killed. A
// folder without the record of a run is left as it is: nobody will look for its dumps.
func (f *Folder) NoteWhole(d output.Dump, files DumpFiles) error {
	r, err := f.ReadRecord()
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && r.Identity == identity.Identity{}:
		return nil
	case err != nil:
		return err
	case r.sawWhole(d, files):
		return nil
	}
	r.Whole = slices.DeleteFunc(r.Whole, func(w WholeDump) bool { return w.Same(d) })
	r.Whole = append(r.Whole, WholeDump{Dump: d, Bytes: files.Bytes})
	r.Whole = r.Whole[max(len(r.Whole)-maxWhole, 0):]
	return f.WriteRecord(r)
}

// NoteAsked replaces Asked and Ours in the run's record; there may be none (NoteWhole).
func (f *Folder) NoteAsked(asked []AskedDump, ours *output.Dump) error {
	r, err := f.ReadRecord()
	if errors.Is(err, os.ErrNotExist) || err == nil && r.Identity == (identity.Identity{}) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Asked, r.Ours = asked[max(len(asked)-maxAsked, 0):], ours
	return f.WriteRecord(r)
}

// ofEarlier reports whether a dump was there before the run began.
func (r Record) ofEarlier(d output.Dump) bool {
	return slices.ContainsFunc(r.Earlier, func(e output.Dump) bool { return e.Same(d) })
}

// WriteRecord stores a run's record in its folder. It is on the disk when it
// returns: the start after a power cut needs it to go on from a dump.
func (f *Folder) WriteRecord(r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the run's record: %w", err)
	}
	if len(data) > maxRecord {
		return fmt.Errorf("write the run's record: it has %d bytes, more than the %d that are read", len(data), maxRecord)
	}
	return f.replace(RecordFile, data, synced)
}

// ErrBadRecord is wrapped by ReadRecord's error where the record was read, and is none.
var ErrBadRecord = errors.New("damaged")

// ReadRecord reads what WriteRecord stored; os.ErrNotExist when there is none.
func (f *Folder) ReadRecord() (Record, error) {
	file, err := f.Open(RecordFile)
	if errors.Is(err, ErrNotRegular) {
		return Record{}, fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	if err != nil {
		return Record{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRecord+1))
	if err != nil {
		return Record{}, fmt.Errorf("read the run's record %s: %w", file.Name(), err)
	}
	var r Record
	if len(data) > maxRecord {
		err = errors.New("too large")
	} else {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return Record{}, fmt.Errorf("the run's record %s is %w: %w", file.Name(), ErrBadRecord, err)
	}
	return r, nil
}

// BadRecordFile is the name that SetRecordAside gives a record.
const BadRecordFile = RecordFile + ".damaged"

// SetRecordAside renames a record that is none: it is not overwritten, whatever it was.
func (f *Folder) SetRecordAside() error {
	dir := int(f.dir.Fd())
	if err := unix.Renameat(dir, RecordFile, dir, BadRecordFile); err != nil {
		return &os.PathError{Op: "rename", Path: filepath.Join(f.path, RecordFile), Err: err}
	}
	return nil
}
