// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/signals"
)

// maxWords is how much of a line is searched for the words of those around the solver:
// launchers, batch systems, shells, the kernel.
const maxWords = 400

// limits are what batch systems and kernels print when they end a run: a limit, another
// job, a broken node, a command of somebody. Sources: Slurm, PBS, LSF, Grid Engine,
// HTCondor, systemd, Linux.
var limits = []string{
	"pbs: job killed", "job killed", "term_runlimit", "term_memlimit", "term_owner", "term_admin", "term_force", "term_preempt", "term_cpulimit",
	"term_swap", "term_processlimit", "term_threadlimit", "term_deadline", "term_window", "term_load", "term_bucket", "term_requeue", "term_external_signal",
	"term_cwd", "term_time", "oom_kill", "oom-kill", "oom kill", "oomkilled", "out of memory: kill", "memory cgroup out of memory",
	": out of memory", "killed process", "exceeded memory limit", "exceeded job memory", "exceeded step memory", "exceeded virtual memory limit",
	"node failure", "node fail", "hard wallclock time", "job hard limit", "job soft limit", "walltime limit", "wall clock limit", "wallclock limit", "wall time limit",
	"time limit reached", "time limit exceeded", "exceeded time limit", "exceeded the time limit", "exceeded its time limit", "was preempted", "job was evicted", "job was held", "job was aborted",
	"periodic_remove", "periodicremove", "received sister_eof", "aborted by pbs", "exceeded limit", "sending signal term to command", "sending signal kill to command",
	"pod was evicted", "has been evicted",
}

// mpiFatal are the words of an MPI library that ended the run.
var mpiFatal = []string{
	"mpi_errors_are_fatal", "an error occurred in mpi_", "fatal error in pmpi_", "fatal error in mpi_", "fatal error in internal_",
	"mpi_abort", "mpi_err_", "fatal error in mpid", "without calling \"finalize\"", "without calling finalize", "exiting improperly", "lost communication with",
	"daemon has unexpectedly failed", "before mpi_finalize", "mpi_init failed", "failed in mpi_init",
}

// lostPeer are the words by which an MPI error is known for one that follows from the end
// of another rank.
var lostPeer = []string{"connection", "communication", "socket", "peer", "remote", "broken pipe"}

// heapCorruption are the words of a C library that is about to abort the process.
var heapCorruption = []string{"double free or corruption", "corrupted size vs", "corrupted double-linked", "free(): invalid", "malloc(): ", "munmap_chunk(): ", "stack smashing detected", "terminate called "}

// around takes a line that does not come from LS-DYNA: of its launcher, a batch system,
// a shell, a runtime or the kernel.
func (r *Reader) around(text []byte) {
	text = text[:min(len(text), maxWords)]
	lower := strings.ToLower(sanitize.Line(text, maxWords))
	f := &r.facts
	switch {
	case containsAny(lower, limits), strings.Contains(lower, "cancelled") && strings.Contains(lower, "due to"):
		keepFirst(&f.Limit, text)
	case strings.Contains(lower, "cancelled at"), strings.Contains(lower, "cancelled by"), strings.Contains(lower, "killing job"), strings.Contains(lower, "sending ctrl-c"):
		keepFirst(&f.Cancelled, text)
	case strings.Contains(lower, " noticed that process rank "):
		_, rest, _ := bytes.Cut(text, []byte(" noticed that process rank "))
		r.notice(rest)
	case strings.Contains(lower, "forrtl: "): // behind a label of its rank
		_, rest, _ := bytes.Cut(text, []byte("forrtl: "))
		r.crash("forrtl: ", rest)
	case containsAny(lower, mpiFatal):
		r.mpiWords(text, lower)
	default:
		r.processEnd(text, lower)
	}
}

// keepFirst keeps the first text of its kind: what comes later follows from it.
func keepFirst(kept *string, text []byte) {
	if *kept == "" {
		*kept = sanitize.HideServers(sanitize.Line(text, maxFactText))
	}
}

// mpiWords keeps the first line about an MPI error. The name of the error is on a line
// of its own with Open MPI.
func (r *Reader) mpiWords(text []byte, lower string) {
	f := &r.facts
	n := signals.Number(lower)
	switch {
	case n != 0: // Platform MPI: rank 3 killed before MPI_Finalize() with signal 11
		r.crash("", text)
	case f.MPIFatal == "":
		keepFirst(&f.MPIFatal, text)
	case strings.Contains(lower, "mpi_err_") && !strings.Contains(f.MPIFatal, "MPI_ERR_"):
		_, name, _ := strings.Cut(string(text), "MPI_ERR_")
		f.MPIFatal = sanitize.HideServers(sanitize.Line([]byte(f.MPIFatal+": MPI_ERR_"+name), maxFactText))
	}
}

// processEnd takes the words about the end of a process: by a signal, or with an exit
// code.
func (r *Reader) processEnd(text []byte, lower string) {
	n := signals.OfLine(lower)
	if n != 0 {
		r.crashBy(n, sanitize.HideServers(sanitize.Line(text, maxFactText)))
		return
	}
	if containsAny(lower, heapCorruption) {
		r.crashBy(int(unix.SIGABRT), sanitize.HideServers(sanitize.Line(text, maxFactText)))
		return
	}
	for _, words := range []string{"exited with code ", "exited with exit code ", "exit code ", "exit code: ", "exit status: ", "exit status ", "exited with status "} {
		if _, after, found := strings.Cut(lower, words); found {
			r.rankCode(signals.Leading(strings.TrimLeft(after, " ")), text)
			return
		}
	}
	if strings.Contains(lower, "non-zero status") || strings.Contains(lower, "non-zero exit") {
		keepFirst(&r.facts.RankExit, text)
		r.exitFollows = true
	}
}

// rankCode takes the exit code of a process. One above 128 stands for a signal.
func (r *Reader) rankCode(code int, text []byte) {
	if n := signals.PassedOn(code); n != 0 {
		r.crashBy(n, sanitize.HideServers(sanitize.Line(text, maxFactText)))
	} else if code > 0 {
		keepFirst(&r.facts.RankExit, text)
	}
}

// exitCode takes "  Exit code:    3", which Open MPI prints below the notice that a
// process ended so.
func (r *Reader) exitCode(rest []byte) {
	code, ok := firstInteger(rest)
	if !ok || code <= 0 || code > 255 || !r.exitFollows {
		return
	}
	r.exitFollows = false
	r.facts.RankExit = ""
	r.rankCode(int(code), []byte(fmt.Sprintf(openMPIExit+"%d", code)))
}

// openMPIExit begins RankExit where Open MPI tells the exit code of the first rank that
// ended.
const openMPIExit = "mpirun: a process ended with exit code "

// crash takes `forrtl: error (78): process killed (SIGTERM)` of the Fortran
// runtime, and `mpirun noticed that process rank 1 with PID 0 on node x exited on
// signal 9 (Killed).` of Open MPI.
func (r *Reader) crash(who string, rest []byte) {
	text := sanitize.HideServers(sanitize.Line(append([]byte(who), rest...), maxFactText))
	r.crashBy(signals.In(text), text)
}

// crashBy keeps what ended the run's processes. A launcher ends the others when the
// first has failed, and each runtime reports that: a crash says more than a kill, and a
// kill more than SIGTERM. Of equals the first stays.
func (r *Reader) crashBy(signal int, text string) {
	if f := &r.facts; f.Crash == "" || crashWeight(signal) > crashWeight(f.CrashSignal) {
		f.Crash, f.CrashSignal = text, signal
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

// noticeLines is over how many lines Open MPI's notice may be wrapped.
const noticeLines = 3

// notice takes what follows " noticed that process rank ". Open MPI 5 wraps the line.
func (r *Reader) notice(rest []byte) {
	r.noticed = append(append(r.noticed[:0], "mpirun: rank "...), rest...)
	if r.noticeLeft = 0; bytes.Contains(rest, []byte("signal ")) {
		r.crash("", r.noticed)
		return
	}
	r.noticeLeft = noticeLines
	keepFirst(&r.facts.RankExit, r.noticed) // in case the rest does not come
}

// noticeGoesOn takes a line below the beginning of a notice.
func (r *Reader) noticeGoesOn(text []byte) {
	r.noticeLeft--
	if text[0] == '-' || len(r.noticed) > maxWords {
		r.noticeLeft = 0
		return
	}
	begun := sanitize.HideServers(sanitize.Line(r.noticed, maxFactText))
	r.noticed = append(append(r.noticed, ' '), text...)
	if bytes.Contains(text, []byte("signal ")) {
		if r.noticeLeft = 0; r.facts.RankExit == begun {
			r.facts.RankExit = ""
		}
		r.crash("", r.noticed)
	}
}
