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
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/sniff"
)

// Bounds of the search for a stdout file of unknown name.
const (
	maxSniffed = 256
	sniffBytes = 64 << 10 // of the beginning, and of the end
)

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
	names := slices.Concat(usual, others)
	var looked []sniff.File
	for _, name := range names[:min(len(names), maxSniffed)] {
		if file, ok := f.sniff(name); ok {
			looked = append(looked, file)
		}
	}
	stdout, stderr := sniff.Streams(looked)
	return streams{stdout: cmp.Or(stdout, lsdyna.DefaultStdout), stderr: stderr}, nil
}

// sniff looks at the beginning and the end of a file.
func (f *Folder) sniff(name string) (sniff.File, bool) {
	file, err := f.Open(name)
	if err != nil {
		return sniff.File{}, false
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return sniff.File{}, false
	}
	buf := make([]byte, sniffBytes)
	n, _ := file.ReadAt(buf, 0)
	f.answers.Add(1)
	found := sniff.File{Name: name, Modified: state.ModTime}
	found.Take(buf[:n])
	if state.Size > int64(n) && n == sniffBytes {
		// From the beginning of a character of UTF-16 on.
		n, _ = file.ReadAt(buf, (state.Size-sniffBytes)&^1)
		f.answers.Add(1)
		found.Take(buf[:n])
	}
	return found, true
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
