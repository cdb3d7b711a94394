// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// maxEntries bounds how many entries of a run folder are read, so that a folder
// filled on purpose costs a bounded time. A run of 10,000 plot states on 4,096 ranks
// stays below.
const maxEntries = 200_000

// fingerprintBytes is how much of a file's beginning and end is hashed. The header
// with the date and time of the run is in the first 8 KiB.
const fingerprintBytes = 8 << 10

// FileState identifies one version of a file. Compared with a later one it shows
// whether the file was unchanged, appended to or replaced.
type FileState struct {
	Inode   uint64    `json:"inode"`
	Size    int64     `json:"size"` // bytes
	ModTime time.Time `json:"mtime"`
	Birth   int64     `json:"birth,omitempty"` // nanoseconds since 1970; 0 if the file system does not know
	Head    uint64    `json:"head,omitempty"`  // fingerprint of the first bytes
	Tail    uint64    `json:"tail,omitempty"`  // fingerprint of the last bytes before Size
}

// Outputs is the state of the LS-DYNA outputs in a run folder, by name.
type Outputs map[string]FileState

// names lists the entries of the folder that are known outputs. Entries are
// read in batches, so that a huge folder costs little memory.
func (f *Folder) names() ([]string, error) {
	return f.list(func(name string) bool {
		_, ok := lsdyna.ParseOutputName(name)
		return ok
	})
}

// list returns the names of entries that are wanted.
func (f *Folder) list(wanted func(name string) bool) ([]string, error) {
	dir, err := f.Dir()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var names []string
	for seen := 0; seen < maxEntries; {
		batch, err := dir.Readdirnames(1024)
		f.answers.Add(1)
		for _, name := range batch {
			if wanted(name) {
				names = append(names, name)
			}
		}
		seen += len(batch)
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return names, fmt.Errorf("list run folder %s: %w", f.path, err)
		}
	}
	return names, nil
}

// Bounds of Outputs, which are part of a run's record.
const (
	maxOldOfKind = 4 * maxCandidates // of rank 0's
	maxOldBytes  = 512 << 10         // of all of them in the record
	oldBytes     = 200               // of one of them beside its name
)

// rest stands for all outputs that Outputs do not name, where it does not name all: they
// were last written to at its ModTime. No file has this name.
const rest = ""

// Snapshot is the state of the outputs that are in the folder now and may be of a run
// with this jobid, and of the further files named. Taken before a start, it keeps the
// outputs of earlier runs from being read as the new run's. Of a folder with very many
// the last of each kind are named, and the others told by their time.
func (f *Folder) Snapshot(ctx context.Context, jobID string, further ...string) (Outputs, error) {
	names, err := f.list(func(name string) bool {
		out, ok := lsdyna.ParseOutputName(name)
		return ok && out.Kind != lsdyna.KindDump && (out.JobID == "" || out.JobID == jobID)
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	slices.Reverse(names) // later sequence numbers first
	number := map[lsdyna.OutputKind]int{}
	var others []string // by their time
	outputs, left := Outputs{}, maxOldBytes
	for _, name := range append(further, names...) {
		out, _ := lsdyna.ParseOutputName(name)
		if out.Rank == 0 {
			number[out.Kind]++
		}
		if out.Rank > 0 || number[out.Kind] > maxOldOfKind && !slices.Contains(further, name) {
			others = append(others, name)
			continue
		}
		left -= len(name) + oldBytes
		if err := outputs.add(name, f.fileState); err != nil {
			return nil, err
		}
	}
	for _, name := range others {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		add := outputs.addToRest
		if out, _ := lsdyna.ParseOutputName(name); out.Rank > 0 && left >= len(name)+oldBytes {
			left -= len(name) + oldBytes
			add = outputs.add
		}
		if err := add(name, f.timeOf); err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// add takes the state of a file, unless it is none that is ever read.
func (old Outputs) add(name string, look func(name string) (FileState, error)) error {
	state, err := look(name)
	switch {
	case err == nil:
		old[name] = state
	case errors.Is(err, os.ErrNotExist), errors.Is(err, ErrNotRegular):
		return nil
	}
	return err
}

func (old Outputs) addToRest(name string, look func(name string) (FileState, error)) error {
	one := Outputs{}
	if err := one.add(name, look); err != nil {
		return err
	}
	if state, there := one[name]; there && state.ModTime.After(old[rest].ModTime) {
		old[rest] = FileState{ModTime: state.ModTime}
	}
	return nil
}

// inRest reports whether a file that is not named was there before the run and has not
// been written to since.
func (old Outputs) inRest(modified time.Time) bool {
	last, some := old[rest]
	return some && !modified.After(last.ModTime)
}

func (f *Folder) fileState(name string) (FileState, error) {
	file, err := f.Open(name)
	if errors.Is(err, os.ErrPermission) {
		return f.closedState(name)
	}
	if err != nil {
		return FileState{}, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return state, fmt.Errorf("stat %s: %w", filepath.Join(f.path, name), err)
	}
	state.Head, state.Tail, err = fingerprints(file, state.Size)
	if err != nil {
		return state, fmt.Errorf("read %s: %w", filepath.Join(f.path, name), err)
	}
	return state, nil
}

// timeOf is the state of a file of which only whether it was written to is asked.
func (f *Folder) timeOf(name string) (FileState, error) {
	st, err := f.stat(name)
	return FileState{Inode: st.Ino, Size: st.Size, ModTime: time.Unix(st.Mtim.Unix()).UTC()}, err
}

// closedState is the state of a file that the user may not read: another's, that lies
// in his folder.
func (f *Folder) closedState(name string) (FileState, error) {
	full := filepath.Join(f.path, name)
	fd, err := unix.Openat(int(f.dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	f.answers.Add(1)
	if err != nil {
		return FileState{}, &os.PathError{Op: "look at", Path: full, Err: err}
	}
	file := os.NewFile(uintptr(fd), full)
	defer file.Close()
	return stateOf(file)
}

// stateOf is the state of an open file without fingerprints. The time of birth is
// part of it because a file that is removed and made again often gets the same
// inode.
func stateOf(file *os.File) (FileState, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return FileState{}, err
	}
	state := FileState{Inode: st.Ino, Size: int64(st.Size), ModTime: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)).UTC()}
	if st.Mask&unix.STATX_BTIME != 0 {
		state.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return state, nil
}

// fingerprints hashes the first and the last bytes of what lies before size.
func fingerprints(file io.ReaderAt, size int64) (head, tail uint64, err error) {
	n := min(size, fingerprintBytes)
	buf := make([]byte, n)
	if _, err := file.ReadAt(buf, 0); err != nil && err != io.EOF {
		return 0, 0, err
	}
	head = fingerprint(buf)
	if _, err := file.ReadAt(buf, size-n); err != nil && err != io.EOF {
		return 0, 0, err
	}
	return head, fingerprint(buf), nil
}

func fingerprint(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
}

// unchanged reports whether a file is as it was before the run. Fingerprints are
// not compared.
func (old Outputs) unchanged(name string, st unix.Stat_t) bool {
	was, known := old[name]
	if !known {
		return old.inRest(time.Unix(st.Mtim.Unix()))
	}
	return was.Inode == st.Ino && was.Size == st.Size && was.ModTime.Equal(time.Unix(st.Mtim.Unix()))
}

// startOffset is where the run's own bytes begin in a file that may have been there
// before the run; fresh reports whether there are any. A solver may append to an old
// file or overwrite it in place. If it was overwritten, the bytes before the old end
// have changed.
func (old Outputs) startOffset(name string, file *os.File) (offset int64, fresh bool, err error) {
	now, err := stateOf(file)
	if err != nil {
		return 0, false, err
	}
	was, known := old[name]
	if !known {
		return 0, !old.inRest(now.ModTime), nil
	}
	if now.Inode == was.Inode && now.Birth == was.Birth && now.Size == was.Size && now.ModTime.Equal(was.ModTime) {
		return 0, false, nil
	}
	if now.Inode != was.Inode || now.Birth != was.Birth || now.Size < was.Size {
		return 0, true, nil
	}
	head, tail, err := fingerprints(file, was.Size)
	if err != nil {
		return 0, false, err
	}
	if head != was.Head || tail != was.Tail {
		return 0, true, nil
	}
	return was.Size, now.Size > was.Size, nil
}
