// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package sniff tells which of the files in a run folder hold a solver's stdout and
// stderr, by what stands at their beginnings and ends: whoever started the run chose
// their names. It touches nothing.
package sniff

import (
	"cmp"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// File is what the beginning and the end of a file show.
type File struct {
	Name     string
	Modified time.Time

	shows  int   // how surely it is a solver's stdout; 0 it is none
	around bool  // it holds words of those around a solver: a launcher, a batch system
	newest int64 // date of its newest header or dated line, in seconds by the solver's clock
}

// Take takes a part of the file.
func (f *File) Take(part []byte) {
	var r output.Reader
	_, _ = r.Write(part)
	facts := r.Final()
	f.shows = max(f.shows, shows(&facts))
	f.around = f.around || facts.Around()
	f.newest = max(f.newest, facts.LastWall)
	if !facts.Started.IsZero() {
		f.newest = max(f.newest, facts.Started.Unix())
	}
}

// shows is how surely what a file holds is a solver's stdout; 0 it is none.
func shows(facts *output.Facts) int {
	switch {
	case facts.Runs > 0:
		return 3
	case facts.Banner != output.NoBanner, facts.HasTime:
		return 2
	case facts.PlainError, facts.LicenceAsked, facts.LicenceGranted, len(facts.FirstErrors) > 0:
		return 1
	}
	return 0
}

// Tells reports whether a file with these facts tells anything of a run, by its solver or
// by those around it.
func Tells(facts *output.Facts) bool { return shows(facts) > 0 || facts.Around() }

// compare is positive if a file is rather the stdout of the last run than another.
func (f File) compare(other File) int {
	return cmp.Or(cmp.Compare(f.shows, other.shows), cmp.Compare(f.newest, other.newest), f.Modified.Compare(other.Modified))
}

// Streams are the names of the files with the stdout and the stderr of the last run;
// "" where there is none. Of several runs the dates in the files decide, for copies do
// not keep the time at which a file was written.
func Streams(looked []File) (stdout, stderr string) {
	var best File
	for _, file := range looked {
		if file.shows > 0 && (best.shows == 0 || file.compare(best) > 0) {
			best = file
		}
	}
	if best.Name == "" {
		return "", ""
	}
	return best.Name, stderrOf(best, looked)
}

// beside is by how much a file may be older than stdout that belongs to the same run
// without having its name.
const beside = time.Minute

// stderrOf is the file that belongs to stdout: one whose name says so, else one with
// words of a launcher or a batch system that was written to as late as stdout.
func stderrOf(stdout File, looked []File) string {
	named := ""
	for _, name := range lsdyna.StderrNames(stdout.Name) {
		at := slices.IndexFunc(looked, func(f File) bool { return f.Name == name && f.shows < 2 })
		if at >= 0 && looked[at].around {
			return name
		}
		if at >= 0 {
			named = cmp.Or(named, name)
		}
	}
	if named != "" {
		return named
	}
	var best File
	for _, f := range looked {
		if f.shows == 0 && f.around && f.Modified.After(stdout.Modified.Add(-beside)) && (best.Name == "" || f.compare(best) > 0) {
			best = f
		}
	}
	return best.Name
}
