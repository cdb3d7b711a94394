// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
)

// maxCandidates bounds how many files of one kind are considered.
const maxCandidates = 64

// FollowOptions names the run to follow.
type FollowOptions struct {
	Stdout string  // name of the file that holds the solver's stdout; "stdout" when empty
	Stderr string  // the same of its stderr; "stderr" when empty beside "stdout", else not read
	JobID  string  // jobid= of the run, "" for none
	Old    Outputs // outputs that were there before the run
	anyJob bool    // read outputs of any jobid
}

// Follower reads the outputs of one run as they grow, each byte once. It is not
// safe for concurrent use.
type Follower struct {
	folder    *Folder
	opts      FollowOptions
	sources   map[lsdyna.OutputKind]*followed
	names     map[lsdyna.OutputKind][]string // candidates of the last listing
	listed    time.Time                      // the folder's mtime at the last listing
	changed   time.Time                      // when that mtime was first seen, by our clock
	settled   bool                           // it was listed when the mtime had stood still for a while
	snapshot  output.Snapshot
	lastError string
	atEnd     bool // stdout was read to its end, the last time
	heads     map[string]head
}

// NewFollower starts at the beginning of the run's outputs.
func NewFollower(folder *Folder, o FollowOptions) *Follower {
	o.Stdout = cmp.Or(o.Stdout, lsdyna.DefaultStdout)
	if o.Stdout == lsdyna.DefaultStdout {
		o.Stderr = cmp.Or(o.Stderr, lsdyna.DefaultStderr)
	}
	return &Follower{folder: folder, opts: o, sources: map[lsdyna.OutputKind]*followed{}, snapshot: output.Snapshot{Phase: output.PhaseStarting}}
}

// Reopened has the follower go on, where it was, through a folder that was opened anew.
func (f *Follower) Reopened(folder *Folder) { f.folder = folder }

// RepeatErrors has the next error returned also where it is the same as the last one.
func (f *Follower) RepeatErrors() { f.lastError = "" }

// Poll reads what is new, a bounded amount, and returns what is known now. It costs
// a few system calls when nothing changed. An error is about a source that cannot be
// read, and is returned once; the snapshot is valid with an error, too.
func (f *Follower) Poll() (output.Snapshot, error) {
	_, err := f.poll()
	return f.snapshot, f.once(err)
}

// Drain reads to the end of every source as it is now, or until ctx ends, and
// takes a last line without a line end as whole. It is for the end of a run.
func (f *Follower) Drain(ctx context.Context) (output.Snapshot, error) {
	var err error
	for more := true; more; {
		more, err = f.poll()
		if ctx.Err() != nil {
			f.update(true)
			return f.snapshot, fmt.Errorf("read the outputs in %s to their end: %w", f.folder.path, ctx.Err())
		}
	}
	f.update(true)
	if f.snapshot.Banner != output.NormalBanner && (f.snapshot.Errors == 0 || f.snapshot.FirstError.Code == 0) {
		f.readRanks(ctx)
	}
	if f.opts.anyJob {
		f.readCases(ctx)
	}
	return f.snapshot, f.once(err)
}

// Told reports whether stdout, which is the first to be asked, was read to its end
// and tells how the run ended, whatever the other outputs say.
func (f *Follower) Told() bool {
	src := f.sources[lsdyna.KindStdout]
	return f.atEnd && src != nil && src.reader.Facts().Banner != output.NoBanner
}

// ours reports whether an output's name is one of this run's.
func (f *Follower) ours(out lsdyna.OutputName) bool {
	return f.opts.anyJob || out.JobID == "" || out.JobID == f.opts.JobID
}

// written reports whether a file was written to since before the run.
func (f *Follower) written(name string) bool {
	st, err := f.folder.stat(name)
	return err == nil && !f.opts.Old.unchanged(name, st)
}

// once returns an error unless it is the same as the last time.
func (f *Follower) once(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == f.lastError {
		return nil
	}
	f.lastError = text
	return err
}

var orderOfKinds = []lsdyna.OutputKind{lsdyna.KindStdout, lsdyna.KindMessag, lsdyna.KindD3hsp, lsdyna.KindStatus, lsdyna.KindStderr, lsdyna.KindGlstat}

// poll reads up to pollBytes of each source; more is true while there is a rest.
func (f *Follower) poll() (more bool, err error) {
	var errs []error
	if err := f.list(); err != nil {
		errs = append(errs, err)
	}
	changed := false
	for _, kind := range orderOfKinds {
		name, err := f.choose(kind)
		optional := kind == lsdyna.KindGlstat // how a run ended does not depend on it
		if err != nil && !optional {
			errs = append(errs, err)
		}
		if name == "" {
			continue
		}
		n, rest, err := f.read(kind, name)
		if kind == lsdyna.KindStdout {
			f.atEnd = err == nil && !rest
		}
		changed = changed || n > 0
		more = more || rest
		if err != nil && !optional && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if changed {
		f.update(false)
	}
	return more, errors.Join(errs...)
}

func (f *Follower) update(final bool) {
	facts := make([]output.Source, 0, len(f.sources))
	var written time.Time
	for kind, src := range f.sources {
		if src.modified.After(written) {
			written = src.modified
		}
		if src.reader != nil {
			facts = append(facts, output.Source{Name: src.name, Kind: kind, Facts: src.facts(final)})
		}
	}
	f.snapshot = output.Combine(facts)
	f.snapshot.Written, f.snapshot.Energies = written, f.energies()
}

// energies are the global statistics, of the glstat before the d3hsp.
func (f *Follower) energies() (s *glstat.Stats) {
	for _, kind := range []lsdyna.OutputKind{lsdyna.KindGlstat, lsdyna.KindD3hsp} {
		if src := f.sources[kind]; src != nil && s == nil {
			s = src.stats.Stats()
		}
	}
	return s
}

// list lists the outputs, if the folder's entries have changed since the last time.
// The folder's mtime does not show a second change within the same clock step, so a
// folder that changed a moment ago is listed again. How long ago that was is told by
// our own clock alone: the folder's may be another.
func (f *Follower) list() error {
	state, err := stateOf(f.folder.dir)
	if err != nil {
		return fmt.Errorf("stat run folder %s: %w", f.folder.path, err)
	}
	if !state.ModTime.Equal(f.listed) {
		f.changed, f.settled = time.Now(), false
	}
	if f.names != nil && f.settled {
		return nil
	}
	still := time.Since(f.changed) > clockStep
	all, err := f.folder.names()
	if err != nil {
		return err
	}
	f.listed, f.settled = state.ModTime, still
	f.names = map[lsdyna.OutputKind][]string{}
	slices.Sort(all)
	for _, name := range slices.Backward(all) { // later sequence numbers first
		out, _ := lsdyna.ParseOutputName(name)
		if out.Rank == 0 && out.Kind != lsdyna.KindDump && f.ours(out) && len(f.names[out.Kind]) < maxCandidates {
			f.names[out.Kind] = append(f.names[out.Kind], name)
		}
	}
	return nil
}

// choose is the name of the file of a kind that is this run's: of those that were
// written to since its start, the one of the last run. It is "" if there is none.
func (f *Follower) choose(kind lsdyna.OutputKind) (string, error) {
	switch kind {
	case lsdyna.KindStdout:
		return f.opts.Stdout, nil
	case lsdyna.KindStderr:
		return f.opts.Stderr, nil
	}
	var best candidate
	var errs []error
	for _, name := range f.names[kind] {
		st, err := f.folder.stat(name)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		if f.opts.Old.unchanged(name, st) {
			continue
		}
		c := candidate{name: name, stat: st}
		c.out, _ = lsdyna.ParseOutputName(name)
		if best.name == "" || f.isLater(&c, &best) {
			best = c
		}
	}
	return best.name, errors.Join(errs...)
}

// candidate is an output that may be the run's.
type candidate struct {
	name string
	out  lsdyna.OutputName
	stat unix.Stat_t
}

// isLater reports whether a is of a later run than b: by the dates in their headers, else
// by the numbers in their names, else by when they were written to last, which a copy
// does not keep.
func (f *Follower) isLater(a, b *candidate) bool {
	beganA, beganB := f.began(a.name, a.stat.Ino, a.stat.Size), f.began(b.name, b.stat.Ino, b.stat.Size)
	if !beganA.IsZero() && !beganB.IsZero() && !beganA.Equal(beganB) {
		return beganA.After(beganB)
	}
	if a.out.JobID == b.out.JobID && a.out.Sequence != b.out.Sequence {
		return a.out.Sequence > b.out.Sequence
	}
	return a.stat.Mtim.Nano() > b.stat.Mtim.Nano()
}

// read reads what was not read yet of a source.
func (f *Follower) read(kind lsdyna.OutputKind, name string) (n int64, more bool, err error) {
	st, err := f.folder.stat(name)
	if err != nil {
		return 0, false, err
	}
	src := f.sources[kind]
	if src != nil && src.name == name && !src.unread(kind, st) {
		return 0, false, nil
	}
	file, err := f.folder.Open(name)
	if err != nil {
		return 0, false, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return 0, false, fmt.Errorf("stat %s: %w", file.Name(), err)
	}
	if src == nil || src.name != name || src.inode != state.Inode || src.offset > state.Size || src.rewritten(kind, state.ModTime, state.Size) {
		start, fresh, err := f.opts.Old.startOffset(name, file)
		if err != nil || !fresh {
			return 0, false, err
		}
		next := newFollowed(kind, name, state.Inode, start)
		if src != nil && src.name == name && kind == lsdyna.KindStatus {
			past := src.facts(false)
			next.past = &past
		}
		src = next
		f.sources[kind] = src
	}
	src.modified = state.ModTime
	n, err = src.advance(f.folder, file, state.Size)
	if err != nil {
		err = fmt.Errorf("read %s at %d: %w", file.Name(), src.offset, err)
	}
	return n, err == nil && src.offset < state.Size, err
}
