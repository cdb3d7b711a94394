// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// lastWords is how LS-DYNA says that a run has ended.
type lastWords struct{ completed, switched bool }

// lastWords reads them, once for each run: a restart of the task takes the file away.
func (o *Observer) lastWords(w *World, r *Run) lastWords {
	key := fmt.Sprint(r.PID, " ", r.Start)
	if said, ok := o.words[key]; ok {
		return said
	}
	a := w.alloc(r.Alloc)
	if a == nil {
		return lastWords{}
	}
	out, err := os.ReadFile(filepath.Join(o.Site.Folder(a.Job), "stdout"))
	if err != nil {
		return lastWords{}
	}
	text := string(out)
	said := lastWords{
		completed: strings.Contains(text, "*** termination time reached ***") && strings.Contains(text, "N o r m a l    t e r m i n a t i o n"),
		switched:  strings.Contains(text, "*** kill file detected - terminating") || strings.Contains(text, "*** termination due to sense switch"),
	}
	if o.words == nil {
		o.words = map[string]lastWords{}
	}
	o.words[key] = said
	return said
}

// dumpOf returns what a solver's command line has it begin with.
func dumpOf(args []string) string {
	for _, a := range args {
		if dump, ok := strings.CutPrefix(a, "r="); ok {
			return dump
		}
	}
	return ""
}

// AddDump takes note of a dump that an event has told of.
func (o *Observer) AddDump(alloc, name string) {
	o.dumps = append(o.dumps, Dump{Alloc: alloc, Name: name, Told: time.Now()})
}

// goesOn: a solver of an allocation that has a dump begins with that one, or with a
// later one.
func goesOn(w *World, f *findings) {
	for i := range w.Runs {
		r := &w.Runs[i]
		for _, d := range w.Dumps {
			// They are numbered with as many digits.
			if d.Alloc == r.Alloc && d.Told.Before(r.Exec) && r.From < d.Name {
				f.add(GoesOn, "%s was executed with r=%q, and %s had been told of before", r, r.From, d.Name)
			}
		}
	}
}

// Shares takes note that another job runs in this one's folder, too: it may change what
// that one has left.
func (o *Observer) Shares(job string) {
	if o.shared == nil {
		o.shared = map[string]bool{}
	}
	o.shared[job] = true
}

// lookAtResults takes note of the files of a run when Nomad has been told that it
// completed, and, now that it is wanted, of what has become of them. A folder that the
// campaign has removed is forgotten.
func (o *Observer) lookAtResults(w *World, now bool) error {
	if o.results == nil {
		o.results = map[string][]string{}
	}
	for i := range w.Allocs {
		a := &w.Allocs[i]
		before, known := o.results[a.ID]
		if o.shared[a.Job] || known && !now || !known && !hasCompleted(w, a) {
			continue
		}
		files, err := filesIn(o.Site.Folder(a.Job))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			delete(o.results, a.ID)
			continue
		case err != nil:
			return fmt.Errorf("results of job %s: %w", a.Job, err)
		case !known:
			o.results[a.ID], before = files, files
		}
		w.Results = append(w.Results, Results{Alloc: a.ID, Job: a.Job, Before: before, Now: files})
	}
	return nil
}

// hasCompleted tells whether the allocation's run has completed and Nomad knows it.
func hasCompleted(w *World, a *Alloc) bool {
	if !slices.ContainsFunc(a.Ends, func(e End) bool { return e.Code == 0 }) {
		return false
	}
	return slices.ContainsFunc(w.Runs, func(r Run) bool { return r.Alloc == a.ID && r.Completed })
}

// filesIn describes the files in a run folder by what changes with their content. What
// the driver keeps there for itself begins with a dot.
func filesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		inode := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = st.Ino
		}
		files = append(files, fmt.Sprintf("%s (inode %d, %d bytes, of %s)", e.Name(), inode, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)))
	}
	return files, nil
}

// resultsStay: nothing is computed anew in the allocation that completed a run, and
// nothing changes what that has left.
func resultsStay(w *World, f *findings) {
	for i := range w.Runs {
		for j := range w.Runs[i+1:] {
			done, next := &w.Runs[i], &w.Runs[i+1+j]
			if done.Completed && done.Known && done.Alloc == next.Alloc && done.Exit.Before(next.Exec) {
				f.add(ResultsStay, "%s was executed, and %s had completed the run", next, done)
			}
		}
	}
	for _, r := range w.Results {
		for _, file := range r.Before {
			if !slices.Contains(r.Now, file) {
				f.add(ResultsStay, "job %s (allocation %.8s) had left %s, and has %q", r.Job, r.Alloc, file, r.Now)
			}
		}
	}
}
