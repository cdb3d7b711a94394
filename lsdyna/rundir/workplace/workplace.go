// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package workplace finds out whether the path of a run folder still leads to where its
// solver works.
package workplace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Place is where a solver that lives works: its working directory, whatever path
// leads there by now.
type Place struct {
	Solver procfs.Identity
	Path   string       // of the run folder when the solver was started
	Dir    rundir.DirID // the run folder then; the zero value where nobody noted it
}

// GoneError says that the path of a run folder does not lead to where its solver works
// any more. Nothing that lies under the path is of this run.
type GoneError struct {
	Path    string
	PID     int          // of the solver; 0 where it has ended
	Dir     rundir.DirID // the solver's working directory; the zero value where that is not known
	Removed bool         // that folder is removed; else it was moved, or its file system unmounted
}

func (e *GoneError) Error() string {
	if e.PID == 0 {
		return e.Lost()
	}
	what, so := "moved, or unmounted,", "the driver neither sees its outputs nor can send it a switch"
	if e.Removed {
		what, so = "removed", "what it writes is lost"
	}
	where := ""
	if e.Dir != (rundir.DirID{}) {
		where = fmt.Sprintf(" (device %d:%d, inode %d)", unix.Major(e.Dir.Dev), unix.Minor(e.Dir.Dev), e.Dir.Ino)
	}
	return fmt.Sprintf("the run folder %s was %s under its solver: process %d still works in it%s, and %s", e.Path, what, e.PID, where, so)
}

// Lost says of a run that is over what became of its folder.
func (e *GoneError) Lost() string {
	what := "was moved, or unmounted, under its solver, which went on elsewhere"
	if e.Removed {
		what = "was removed under its solver, and with it the outputs"
	}
	return fmt.Sprintf("the run folder %s %s", e.Path, what)
}

// deleted is what the kernel puts behind the path of a folder that is removed (d_path
// in fs/d_path.c).
const deleted = " (deleted)"

// Check reports whether the path leads to the solver's working directory, and returns a
// *GoneError where it does not and that was the run folder. Neither is certain where the
// solver has ended, may not be looked at, or went elsewhere by itself, or where the file
// system fails. proc is where /proc is. It waits for the file system.
func (w Place) Check(proc string) (leads bool, err error) {
	if !w.Solver.Alive(proc) {
		return false, nil
	}
	cwd := proc + "/" + strconv.Itoa(w.Solver.PID) + "/cwd"
	link, err := os.Readlink(cwd)
	if err != nil {
		return false, nil //nolint:nilerr // another user's, or just ended
	}
	path, removed := strings.CutSuffix(link, deleted)
	works, err := dirAt(cwd)
	was := works == w.Dir
	switch {
	case removed && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE)):
		// A file server does not know a removed folder any more, unlike a local disk.
		works, err, was = w.Dir, nil, filepath.Base(path) == filepath.Base(w.Path)
	case w.Dir == (rundir.DirID{}):
		was = path == w.Path
	}
	if err != nil || !was {
		return false, nil //nolint:nilerr // nothing is certain
	}
	named, err := dirAt(w.Path)
	missing := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
	switch {
	case err == nil && works == (rundir.DirID{}):
		return false, nil // it may be the same
	case err == nil && named == works:
		return true, nil
	case err != nil && !missing, !w.Solver.Alive(proc):
		return false, nil //nolint:nilerr // as above
	}
	return false, &GoneError{Path: w.Path, PID: w.Solver.PID, Dir: works, Removed: removed}
}

// dirAt returns which folder a path leads to.
func dirAt(path string) (rundir.DirID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return rundir.DirID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return rundir.DirID{Dev: uint64(st.Dev), Ino: st.Ino}, nil //nolint:unconvert // a type of its own on some architectures
}
