// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package live finds out whether the run in a folder lives, for whoever may read the
// folder, root or not. How new its files are proves nothing: a solver may be silent for
// hours, and a copy is as new as it was made. A run lives where the run that has the folder
// proves it (ownership.Folder.Live), or where a process of this machine has the outputs of
// a solver open to write them.
package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// Proof is why it is certain that a run lives.
type Proof struct {
	Text  string
	again func() bool
}

// Holds reports whether it still is certain: what was read of the outputs meanwhile is of
// a run that lived then.
func (p *Proof) Holds() bool { return p != nil && p.again() }

// Of returns a proof that the run in a folder lives, or the run of the one output in it
// that is named; nil where there is none. It waits for the file system.
func Of(f *rundir.Folder, name string) *Proof {
	owner := ownership.Of(f)
	if l, ok := owner.Live(); ok && (name == "" || isOutputSince(f, name, l)) {
		return &Proof{l.By, func() bool { _, ok := owner.Live(); return ok }}
	}
	dir, err := os.Readlink(procfs.Root + "/self/fd/" + strconv.Itoa(f.Fd()))
	if err != nil {
		return nil
	}
	for _, w := range writers.in(dir) {
		if w.writes(filepath.Join(dir, name), name == "") {
			return &Proof{
				fmt.Sprintf("process %d on this machine writes its outputs", w.pid),
				func() bool { return w.holds() && w.writes(filepath.Join(dir, name), name == "") },
			}
		}
	}
	return nil
}

// isOutputSince reports whether a file is an output of the run that lives in its folder,
// not of one before: it has the name of one, and was written to since that run began.
func isOutputSince(f *rundir.Folder, name string, l ownership.Living) bool {
	out, ok := lsdyna.ParseOutputName(name)
	if name != lsdyna.DefaultStdout && (!ok || out.Kind == lsdyna.KindDump) {
		return false
	}
	var st unix.Stat_t
	err := unix.Fstatat(f.Fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && !l.Since.IsZero() && st.Mtim.Nano() >= l.Since.UnixNano()
}

// writer is a process that has outputs open which a solver writes until its end. A program
// that copies a folder has one file of it open at a time: a solver has two.
type writer struct {
	pid   int
	start uint64
	dir   string
	files []string // paths below /proc of two descriptors
}

// holds reports whether it still is the same process, with the same files open.
func (w writer) holds() bool {
	if ticks, err := procfs.StartTicks(procfs.Root, w.pid); err != nil || ticks != w.start {
		return false
	}
	for _, fd := range w.files {
		if _, ok := written(fd, w.dir); !ok {
			return false
		}
	}
	return true
}

// writes reports whether the process has a file open to write it, all: every file.
func (w writer) writes(path string, all bool) bool {
	if all {
		return true
	}
	for _, fd := range descriptors(w.pid) {
		if link, err := os.Readlink(fd); err == nil && link == path && isWritable(fd) {
			return true
		}
	}
	return false
}

// find returns the solvers among the processes of this machine, as far as this process may
// look into them.
func find() []writer {
	pids, err := procfs.PIDs(procfs.Root)
	if err != nil {
		return nil
	}
	var found []writer
	for _, pid := range pids {
		start, err := procfs.StartTicks(procfs.Root, pid)
		if err != nil {
			continue
		}
		byDir := map[string]map[lsdyna.OutputKind]string{}
		for _, fd := range descriptors(pid) {
			link, err := os.Readlink(fd)
			if err != nil {
				continue
			}
			dir := filepath.Dir(link)
			kind, ok := written(fd, dir)
			if !ok {
				continue
			}
			if byDir[dir] == nil {
				byDir[dir] = map[lsdyna.OutputKind]string{}
			}
			byDir[dir][kind] = fd
		}
		for dir, files := range byDir {
			if len(files) > 1 {
				found = append(found, writer{pid, start, dir, []string{files[lsdyna.KindMessag], files[lsdyna.KindD3hsp]}})
			}
		}
	}
	return found
}

// descriptors are the paths of a process's open files below /proc; none where it is not
// this user's.
func descriptors(pid int) []string {
	dir, err := os.Open(filepath.Join(procfs.Root, strconv.Itoa(pid), "fd"))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for i, name := range names {
		names[i] = filepath.Join(dir.Name(), name)
	}
	return names
}

// written returns which output of a solver in a folder a descriptor writes: messages or
// d3hsp, which stay open.
func written(fd, dir string) (lsdyna.OutputKind, bool) {
	link, err := os.Readlink(fd)
	name, ok := strings.CutPrefix(link, dir+"/")
	if err != nil || !ok {
		return "", false
	}
	out, ok := lsdyna.ParseOutputName(name)
	ok = ok && (out.Kind == lsdyna.KindMessag || out.Kind == lsdyna.KindD3hsp) && isWritable(fd)
	return out.Kind, ok
}

// isWritable reports whether a descriptor is open for writing, by the mode of its link
// (proc_pid_fd(5)). Its file is not asked: that may be on a server that is down.
func isWritable(fd string) bool {
	info, err := os.Lstat(fd)
	return err == nil && info.Mode().Perm()&0o200 != 0
}
