// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package around reads what those around a solver print about the end of its processes:
// launchers, batch systems, shells, runtimes and the kernel. It touches nothing.
package around

import (
	"cmp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/signals"
)

// Said is what those around the solver said about how it ended, of each kind what says
// most, or came first.
type Said struct {
	Crash       string // a line about a signal or a crash: of the Fortran runtime, a launcher, a shell
	CrashSignal int    // the signal that it names; 0 none
	Limit       string // a line of a batch system or the kernel, which ended the run
	Cancelled   string // a line that says that the run was cancelled, and not why
	MPIFatal    string // a line of the MPI library, which ended the run
	RankExit    string // by the launcher: which rank ended first, with which exit code
}

// maxText is how many bytes of a line are kept.
const maxText = 200

// Around reports whether those around the solver said how it ended.
func (s *Said) Around() bool {
	return s.Crash != "" || s.Limit != "" || s.Cancelled != "" || s.MPIFatal != "" || s.RankExit != ""
}

// LostPeer reports whether the MPI error may follow from the end of another rank.
func (s *Said) LostPeer() bool {
	return s.MPIFatal != "" && lines.HasAny(strings.ToLower(s.MPIFatal), lostPeer)
}

// EndedByLauncher reports whether Open MPI ended ranks by SIGTERM since another one had
// exited: that one says why. One that exits by the signal has the Fortran runtime's code.
func (s *Said) EndedByLauncher() bool {
	code, found := strings.CutPrefix(s.RankExit, openMPIExit)
	return found && s.CrashSignal == int(unix.SIGTERM) && code != strconv.Itoa(sigtermExit)
}

// Merge is what two outputs of a run say together. What a says comes first.
func Merge(a, b Said) Said {
	if b.Crash != "" {
		a.crashBy(b.CrashSignal, b.Crash)
	}
	a.RankExit = cmp.Or(a.RankExit, b.RankExit)
	a.Limit = cmp.Or(a.Limit, b.Limit)
	a.Cancelled = cmp.Or(a.Cancelled, b.Cancelled)
	a.MPIFatal = cmp.Or(a.MPIFatal, b.MPIFatal)
	return a
}

// Abort takes what the C library says before it aborts the process, fit to be shown.
func Abort(s *Said, text string) { s.crashBy(int(unix.SIGABRT), text) }

// crash takes `forrtl: error (78): process killed (SIGTERM)` of the Fortran
// runtime, and `mpirun noticed that process rank 1 with PID 0 on node x exited on
// signal 9 (Killed).` of Open MPI.
func (s *Said) crash(who string, rest []byte) {
	text := plain(append([]byte(who), rest...))
	s.crashBy(signals.In(text), text)
}

// crashBy keeps what ended the run's processes. A launcher ends the others when the
// first has failed, and each runtime reports that: a crash says more than a kill, and a
// kill more than SIGTERM. Of equals the first stays.
func (s *Said) crashBy(signal int, text string) {
	if s.Crash == "" || crashWeight(signal) > crashWeight(s.CrashSignal) {
		s.Crash, s.CrashSignal = text, signal
	}
}

func crashWeight(signal int) int {
	switch {
	case signal == int(unix.SIGTERM):
		return 1
	case signal == 0 || signals.IsCrash(signal):
		return 3
	}
	return 2
}

func plain(text []byte) string { return sanitize.Public(text, maxText) }
