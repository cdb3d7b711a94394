// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package pidfile reads and writes the two-line pid file of one running
// solver, and answers whether the process it names is still the same process.
//
// The set of pid files under the driver's state directory is the state of the
// core allocator, so a file is only ever replaced whole (temporary file, fsync,
// rename, fsync of the directory) and never follows a link. The first line is
// the process id, which is all that older tools wrote; the second is a JSON
// object whose "cores" they read too:
//
//	12345
//	{"cores":[0,1,2,3],"start_time":8123456,"boot_id":"…"}
//
// It imports little on purpose: the supervisor, whose memory counts once per
// task, links it, and a package's imports delay and enlarge its start.
package pidfile

import (
	"encoding/json"
	"errors"
)

// MaxBytes bounds what is read: a core list of every CPU Linux can have and a
// generous share of keys we do not know.
const MaxBytes = 256 << 10

var (
	// ErrNoPID says that the first line is no process id: nothing in the
	// file can be used.
	ErrNoPID = errors.New("the first line is not a process id")

	// ErrNoCores says that the file names a process but no usable core
	// list: there is only one line, or the second is not valid. That is legal
	// input, and the PID is returned beside it.
	ErrNoCores = errors.New("no usable core list on the second line")
)

// Record is the content of a pid file.
type Record struct {
	PID int

	// Cores are logical CPU indices below cpuset.MaxCPUs in the order in which they
	// were written. Empty but not nil: the solver runs without affinity. Nil: the file
	// has no usable core list (ErrNoCores).
	Cores []int

	// StartTime is the solver's start in clock ticks after boot
	// (/proc/PID/stat, field 22), and BootID that boot; together with PID they are
	// a process's identity. Zero and empty where the file does not say.
	StartTime uint64
	BootID    string

	// SupervisorPID and SupervisorStartTime identify the solver's parent.
	SupervisorPID       int
	SupervisorStartTime uint64

	// Extra holds the second line's other keys, written back as they came.
	Extra map[string]json.RawMessage
}
