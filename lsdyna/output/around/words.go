// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package around

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
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

// Words takes a line that neither LS-DYNA nor Take knows: of a launcher, a batch system, a
// shell, a runtime or the kernel, or of nobody who says how a run ends.
func (r *Reader) Words(s *Said, text []byte) {
	text = text[:min(len(text), maxWords)]
	lower := strings.ToLower(sanitize.Line(text, maxWords))
	switch {
	case lines.HasAny(lower, limits), strings.Contains(lower, "cancelled") && strings.Contains(lower, "due to"):
		sanitize.KeepFirst(&s.Limit, text, maxText)
	case strings.Contains(lower, "cancelled at"), strings.Contains(lower, "cancelled by"), strings.Contains(lower, "killing job"), strings.Contains(lower, "sending ctrl-c"):
		sanitize.KeepFirst(&s.Cancelled, text, maxText)
	case strings.Contains(lower, " noticed that process rank "):
		_, rest, _ := bytes.Cut(text, []byte(" noticed that process rank "))
		r.notice(s, rest)
	case strings.Contains(lower, "forrtl: "): // behind a label of its rank
		_, rest, _ := bytes.Cut(text, []byte("forrtl: "))
		s.crash("forrtl: ", rest)
	case lines.HasAny(lower, mpiFatal):
		s.mpiWords(text, lower)
	default:
		r.processEnd(s, text, lower)
	}
}

// mpiWords keeps the first line about an MPI error. The name of the error is on a line
// of its own with Open MPI.
func (s *Said) mpiWords(text []byte, lower string) {
	n := signals.Number(lower)
	switch {
	case n != 0: // Platform MPI: rank 3 killed before MPI_Finalize() with signal 11
		s.crash("", text)
	case s.MPIFatal == "":
		sanitize.KeepFirst(&s.MPIFatal, text, maxText)
	case strings.Contains(lower, "mpi_err_") && !strings.Contains(s.MPIFatal, "MPI_ERR_"):
		_, name, _ := strings.Cut(string(text), "MPI_ERR_")
		s.MPIFatal = plain([]byte(s.MPIFatal + ": MPI_ERR_" + name))
	}
}

// processEnd takes the words about the end of a process: by a signal, or with an exit
// code.
func (r *Reader) processEnd(s *Said, text []byte, lower string) {
	n := signals.OfLine(lower)
	if n != 0 {
		s.crashBy(n, plain(text))
		return
	}
	if lines.HasAny(lower, heapCorruption) {
		s.crashBy(int(unix.SIGABRT), plain(text))
		return
	}
	for _, words := range []string{"exited with code ", "exited with exit code ", "exit code ", "exit code: ", "exit status: ", "exit status ", "exited with status "} {
		if _, after, found := strings.Cut(lower, words); found {
			s.rankCode(signals.Leading(strings.TrimLeft(after, " ")), text)
			return
		}
	}
	if strings.Contains(lower, "non-zero status") || strings.Contains(lower, "non-zero exit") {
		sanitize.KeepFirst(&s.RankExit, text, maxText)
		r.exitFollows = true
	}
}

// rankCode takes the exit code of a process. One above 128 stands for a signal.
func (s *Said) rankCode(code int, text []byte) {
	if n := signals.PassedOn(code); n != 0 {
		s.crashBy(n, plain(text))
	} else if code > 0 {
		sanitize.KeepFirst(&s.RankExit, text, maxText)
	}
}
