// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Bounds of the search for a stdout file of unknown name.
const (
	maxSniffed = 256
	sniffBytes = 64 << 10 // of the beginning, and of the end
)

// sniffed is what the beginning and the end of a file show.
type sniffed struct {
	name     string
	shows    int   // how surely it is a solver's stdout; 0 it is none
	around   bool  // it holds words of those around a solver: a launcher, a batch system
	newest   int64 // date of its newest header or dated line, in seconds by the solver's clock
	modified time.Time
}

// streams are the files that hold a run's stdout and stderr.
type streams struct{ stdout, stderr string }

// findStreams searches for the files that hold the solver's stdout and stderr. Whoever
// started the run chose their names. So the files that may be it are opened, those with
// usual names first, and what they hold decides; of several runs the dates in them, for
// copies do not keep the time at which a file was written.
func (f *Folder) findStreams() (streams, error) {
	var usual, others []string
	_, err := f.list(func(name string) bool {
		switch maybe, isUsual := lsdyna.MayBeStdout(name); {
		case isUsual:
			usual = append(usual, name)
		case maybe:
			others = append(others, name)
		}
		return false
	})
	if err != nil {
		return streams{}, err
	}
	slices.Sort(usual)
	slices.Sort(others)
	names := append(usual, others...)
	var best sniffed
	var looked []sniffed
	for _, name := range names[:min(len(names), maxSniffed)] {
		file, ok := f.sniff(name)
		if !ok {
			continue
		}
		looked = append(looked, file)
		if file.shows > 0 && (best.shows == 0 || file.compare(best) > 0) {
			best = file
		}
	}
	found := streams{stdout: cmp.Or(best.name, lsdyna.DefaultStdout)}
	if best.name != "" {
		found.stderr = stderrOf(best, looked)
	}
	return found, nil
}

// compare is positive if a file is rather the stdout of the last run than another.
func (s sniffed) compare(other sniffed) int {
	return cmp.Or(cmp.Compare(s.shows, other.shows), cmp.Compare(s.newest, other.newest), s.modified.Compare(other.modified))
}

// beside is by how much a file may be older than stdout that belongs to the same run
// without having its name.
const beside = time.Minute

// stderrOf is the file that belongs to stdout: one whose name says so, else one with
// words of a launcher or a batch system that was written to as late as stdout.
func stderrOf(stdout sniffed, looked []sniffed) string {
	named := ""
	for _, name := range lsdyna.StderrNames(stdout.name) {
		at := slices.IndexFunc(looked, func(s sniffed) bool { return s.name == name && s.shows < 2 })
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
	var best sniffed
	for _, s := range looked {
		if s.shows == 0 && s.around && s.modified.After(stdout.modified.Add(-beside)) && (best.name == "" || s.compare(best) > 0) {
			best = s
		}
	}
	return best.name
}

// sniff looks at the beginning and the end of a file.
func (f *Folder) sniff(name string) (sniffed, bool) {
	file, err := f.Open(name)
	if err != nil {
		return sniffed{}, false
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return sniffed{}, false
	}
	buf := make([]byte, sniffBytes)
	n, _ := file.ReadAt(buf, 0)
	f.answers.Add(1)
	found := sniffed{name: name, modified: state.ModTime}
	found.take(buf[:n])
	if state.Size > int64(n) && n == sniffBytes {
		// From the beginning of a character of UTF-16 on.
		n, _ = file.ReadAt(buf, (state.Size-sniffBytes)&^1)
		f.answers.Add(1)
		found.take(buf[:n])
	}
	return found, true
}

// take takes a part of a file.
func (s *sniffed) take(part []byte) {
	var r output.Reader
	_, _ = r.Write(part)
	facts := r.Final()
	shows := 0
	switch {
	case facts.Runs > 0:
		shows = 3
	case facts.Banner != output.NoBanner, facts.HasTime:
		shows = 2
	case facts.PlainError, facts.LicenceAsked, facts.LicenceGranted, len(facts.FirstErrors) > 0:
		shows = 1
	}
	s.shows = max(s.shows, shows)
	s.around = s.around || facts.Around()
	s.newest = max(s.newest, facts.LastWall)
	if !facts.Started.IsZero() {
		s.newest = max(s.newest, facts.Started.Unix())
	}
}

// headBytes holds the header with the date and time of a run.
const headBytes = 8 << 10

// head is what the beginning of an output holds.
type head struct {
	inode uint64
	bytes int64
	began time.Time // the solver's own clock; zero not known
}

// began is when the run of an output began, by the date in its header.
func (f *Follower) began(name string, inode uint64, size int64) time.Time {
	size = min(size, headBytes)
	if known, ok := f.heads[name]; ok && known.inode == inode && (known.bytes == size || !known.began.IsZero()) {
		return known.began
	}
	file, err := f.folder.Open(name)
	if err != nil {
		return time.Time{}
	}
	defer file.Close()
	var r output.Reader
	_, _ = io.Copy(&r, io.LimitReader(file, headBytes))
	f.folder.answers.Add(1)
	if f.heads == nil || len(f.heads) > maxCandidates*len(orderOfKinds) {
		f.heads = map[string]head{}
	}
	began := r.Facts().Started
	f.heads[name] = head{inode: inode, bytes: size, began: began}
	return began
}
