// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package shim is what the driver's binary does when it is re-executed: as
// the parent of one solver (`supervise <record directory>`), which it forks, or in a
// command's place until everything is set for it (`stage`). Neither returns to main.
//
// There is one supervisor per running task, so its memory counts. The binary
// links all of Nomad's plugin machinery, whose initialisation alone takes
// megabytes. Go initialises packages in the order of their import paths as soon
// as their own imports are ready, so both commands run from this package's init,
// and the package imports next to nothing: os, syscall, encoding/json and what
// those need anyway. In particular not net, os/exec, os/signal, path/filepath,
// log or golang.org/x/sys, each of which would wait for many others. A test
// (TestImports) holds the line.
//
// It touches the record directory, the task's cgroup, the run folder (as the
// task's user only) and Nomad's log FIFOs.
package shim

import (
	"fmt"
	"os"
)

// The commands, as found in os.Args[1].
const (
	SuperviseCommand = "supervise"
	StageCommand     = "stage"
)

// Descriptors that both commands inherit beside the standard streams.
const (
	ControlFD = 3 // a Unix stream socket to whoever started it
	LockFD    = 4 // supervise: the record's lock
	FolderFD  = 5 // supervise: the lock of the run folder, opened for writing by the task's user; /dev/null where there is none
)

// refused is the exit status for a call that nobody but the driver should make.
const refused = 2

func init() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == SuperviseCommand:
		os.Exit(superviseMain(os.Args[2]))
	case len(os.Args) == 2 && os.Args[1] == StageCommand:
		os.Exit(stageMain())
	}
}

// inherited returns the control socket, or explains to a curious human why
// there is none.
func inherited(command string) (*conn, bool) {
	c, err := openConn(ControlFD)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is called by the driver itself, not by hand: %v\n", command, err)
		return nil, false
	}
	return c, true
}
