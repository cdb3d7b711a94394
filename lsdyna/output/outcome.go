// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/signals"
)

// Kind is the verdict on a run.
type Kind string

// The verdicts.
const (
	Completed    Kind = "completed" // LS-DYNA printed so and reached its end time
	Stopped      Kind = "stopped"   // ended on request before its end time
	Failed       Kind = "error"     // error termination
	LicenceError Kind = "license"   // no licence, or its limits
	Killed       Kind = "killed"    // ended by a signal
	Running      Kind = "running"   // not ended
	Unknown      Kind = "unknown"   // the outputs and the exit do not show it
)

// Exit is how the process ended, as far as the caller knows.
type Exit struct {
	Known     bool // false: nobody saw the end
	Code      int
	Signal    int // 0 for none
	OOMKilled bool
	Running   bool // the process lives

	Launcher lsdyna.MPI // of the ranks, which decides what Code means; "" none, or not known
}

// signal is the signal that ended the ranks, by the exit code of their launcher; 0 for
// none. MPICH's and Intel's pass on the status that wait(2) gave: an exit code of its
// own is not among these numbers for LS-DYNA, which exits with 0 to 3.
func (e Exit) signal() int {
	hydra := e.Launcher == lsdyna.MPICH || e.Launcher == lsdyna.IntelMPI
	if hydra && slices.Contains(rawStatus, e.Code) {
		return e.Code
	}
	return signals.PassedOn(e.Code)
}

// rawStatus are the signals that are told by a wait status without its upper byte.
var rawStatus = []int{4, 5, 6, 7, 8, 9, 11, 15}

// Outcome is the verdict on a run, with its reason.
type Outcome struct {
	Kind        Kind
	Reason      string // one line, for users
	FirstError  *SolverError
	RestartFile string // the newest dump, by the solver's own lines
}

// Success reports whether the run completed.
func (o Outcome) Success() bool { return o.Kind == Completed }

// Decide gives the verdict. An exit code alone never makes a success: LS-DYNA may
// exit with 0 after an error termination. What is in doubt is Unknown.
func Decide(s Snapshot, e Exit) Outcome {
	o := Outcome{FirstError: s.FirstError}
	if d := s.LastDump(); d != nil {
		o.RestartFile = d.Name
	}
	o.Kind, o.Reason = verdict(s, e)
	if o.Kind == Completed {
		if kind, reason := s.cutOff(e); kind != "" {
			o.Kind, o.Reason = kind, reason
			return s.ofProcess(o)
		}
	}
	if !e.Running && s.Banner != NoBanner && o.Kind != Killed {
		o.Reason += e.oddEnd()
	}
	return s.ofProcess(o)
}

// verdict goes through the table of outcomes from the most certain row down.
func verdict(s Snapshot, e Exit) (Kind, string) {
	switch {
	case e.Running && (!s.EndBlock || s.CaseDriver): // another case may follow
		return Running, "running: " + s.whichCase() + s.Summary()
	case s.StudentLimit:
		return LicenceError, "the licence does not cover a model of this size: " + s.firstError()
	case s.Banner == NormalBanner:
		return normalEnd(s, e)
	case s.Banner == ErrorBanner:
		return errorEnd(s)
	case s.PlainError && s.Crash == "" && s.Limit == "":
		return errorEnd(s)
	}
	return noBanner(s, e)
}

// reachedShare is the part of the end time that counts as reached. Outputs print
// both times with four digits, and the last step may end slightly before it.
const reachedShare = 0.999

// normalEnd judges a Normal banner. For a success the end time must be reached.
func normalEnd(s Snapshot, e Exit) (Kind, string) {
	reached := s.HasTime && s.EndTime > 0 && s.Time >= reachedShare*s.EndTime
	switch {
	case (e.Signal != 0 || e.OOMKilled) && !s.EndBlock:
		kind, cause := e.ended()
		return kind, cause + " while LS-DYNA was closing its files: " + s.Summary()
	case s.Broken != "":
		return Failed, "normal termination, but not of a valid solution: " + s.Broken + s.at()
	case s.SenseSwitch != "":
		return Stopped, fmt.Sprintf("stopped by sense switch %s%s", s.SenseSwitch, s.at())
	case s.KillFile:
		return Stopped, "stopped by a sense switch in d3kil" + s.at()
	case s.Eigenvalues && s.HasTime && s.Time == 0 && s.Termination == "":
		return Completed, "normal termination of an eigenvalue analysis, which takes no time steps: " + s.Summary()
	case strings.Contains(s.Termination, "cycle"):
		return Completed, "normal termination at the number of cycles that was asked for (termination " + s.Termination + "): " + s.Summary()
	case s.EndCycle > 0 && s.Cycle >= s.EndCycle && s.Termination == "":
		return Completed, fmt.Sprintf("normal termination at the number of cycles that was asked for (%d): %s", s.EndCycle, s.Summary())
	case s.HasTime && s.EndTime > 0 && !reached && s.lostLicence() != "":
		return s.withoutLicence()
	case s.HasTime && s.EndTime > 0 && !reached:
		return Stopped, "normal termination before the end time" + s.because() + s.at()
	case s.TimeReached && reached:
		return Completed, "normal termination at the end time: " + s.Summary()
	case s.TimeReached && s.EndTime == 0 && s.HasTime:
		// messag never holds the end time, but a line that it was reached.
		return Completed, "normal termination, termination time reached: " + s.Summary()
	case s.Termination != "":
		return Stopped, "normal termination" + s.because() + s.at()
	}
	return Unknown, "normal termination, but LS-DYNA does not say that the termination time was reached" + s.at()
}

// errorEnd judges an Error banner. A run that a sense switch ended has one as
// well; it failed only if an error was printed.
func errorEnd(s Snapshot) (Kind, string) {
	switch {
	case s.lostLicence() != "" && (s.Errors == 0 || s.LicenceLost == ""):
		return s.withoutLicence()
	case s.Errors > 0:
		return Failed, "error termination: " + s.firstError() + s.at()
	case s.SenseSwitch != "":
		return Stopped, fmt.Sprintf("stopped by sense switch %s%s", s.SenseSwitch, s.at())
	case s.KillFile:
		return Stopped, "stopped by a sense switch in d3kil" + s.at()
	case (!s.LicenceGranted || s.PlainError) && s.LicenceTrouble != "":
		return LicenceError, "no licence: " + s.LicenceTrouble
	}
	return Failed, "error termination without an error number" + s.because() + s.at()
}

// noBanner judges a run whose outputs end without a banner: by how its process ended,
// then by what its outputs say, what says most first.
func noBanner(s Snapshot, e Exit) (Kind, string) {
	byItself := e.Signal == 0 || signals.IsCrash(e.Signal)
	if !e.OOMKilled && byItself && s.Limit == "" && s.lostLicence() != "" && (s.Errors == 0 || s.LicenceLost == "") {
		return s.withoutLicence()
	}
	if e.OOMKilled || e.Signal != 0 {
		kind, cause := e.ended()
		return kind, cause + s.at()
	}
	if kind, reason := ofNodes(s); kind != "" {
		return kind, reason + s.at()
	}
	if kind, reason := said(s); kind != "" {
		return kind, reason + s.at()
	}
	signal := e.signal()
	switch {
	case !s.LicenceGranted && s.LicenceTrouble != "":
		return LicenceError, "no licence: " + s.LicenceTrouble
	case s.Cancelled != "":
		return Killed, "cancelled: " + s.Cancelled + s.at()
	case e.Known && signal != 0 && (s.RankExit == "" || signal != e.Code):
		kind, cause := bySignal(signal)
		return kind, fmt.Sprintf("%s (exit code %d)", cause, e.Code) + s.at()
	case s.RankExit != "": // says less than an error, a licence or a signal
		return Failed, "crashed: " + s.RankExit + s.at() + s.lastWords()
	case e.Known && e.Code != 0:
		return Failed, fmt.Sprintf("ended with exit code %d, and LS-DYNA printed no end", e.Code) + s.at() + s.lastWords()
	case e.Known:
		return Unknown, "exit code 0, but LS-DYNA printed no end" + s.at() + s.lastWords()
	}
	return Unknown, "exit status unknown, and LS-DYNA printed no end" + s.at() + s.lastWords()
}

// ofNodes judges what the leading node of a run over several nodes wrote.
func ofNodes(s Snapshot) (Kind, string) {
	switch {
	case s.NodesEnded == "":
		return "", ""
	case strings.HasPrefix(s.NodesEnded, NodesLost):
		return Killed, s.NodesEnded
	case strings.HasPrefix(s.NodesEnded, NodesStopped):
		return Stopped, s.NodesEnded
	}
	return Failed, s.NodesEnded
}

// said judges what the outputs say of an end without a banner. A limit outweighs all:
// what is printed after it follows from it. So does what is printed after a crash or an
// error: launchers end the other ranks by signals, and batch systems cancel the step.
func said(s Snapshot) (Kind, string) {
	signalled := s.Crash != "" && s.CrashSignal != 0 && !s.EndedByLauncher()
	switch {
	case s.Limit != "":
		return Killed, "ended from outside: " + s.Limit
	case s.Crash != "" && (s.CrashSignal == 0 || signals.IsCrash(s.CrashSignal)) && (s.MPIFatal == "" || s.CrashSignal != int(unix.SIGABRT)):
		return Failed, crashed(s)
	case s.Errors > 0:
		return Failed, "ended without a banner after: " + s.firstError()
	case s.Broken != "":
		return Failed, "ended without a banner: " + s.Broken
	case s.MPIFatal != "" && (!s.LostPeer() || !signalled):
		return Failed, "ended by MPI: " + s.MPIFatal
	case signalled:
		kind, cause := bySignal(s.CrashSignal)
		return kind, cause + ": " + s.Crash
	}
	return "", ""
}

// crashed names the signal of a crash, if it is known.
func crashed(s Snapshot) string {
	if s.CrashSignal == 0 {
		return "crashed: " + s.Crash
	}
	_, cause := bySignal(s.CrashSignal)
	return cause + ": " + s.Crash
}

// ended is the verdict on how the process ended, of one that somebody saw end by a
// signal.
func (e Exit) ended() (Kind, string) {
	if e.OOMKilled {
		return Killed, "ended by " + e.cause()
	}
	return bySignal(e.Signal)
}

// cause names what ended the process.
func (e Exit) cause() string {
	if e.OOMKilled {
		return "the kernel: out of memory (raise resources.memory, or lower memory=)"
	}
	return signals.Name(e.Signal)
}

// oddEnd is what the exit status adds to the banner.
func (e Exit) oddEnd() string {
	switch {
	case !e.Known:
		return ""
	case e.Signal != 0 || e.OOMKilled:
		return "; then ended by " + e.cause()
	case e.Code != 0:
		return fmt.Sprintf("; exit code %d", e.Code)
	}
	return ""
}

func (s Snapshot) firstError() string {
	if s.FirstError == nil {
		return "an error without a number"
	}
	return s.FirstError.String()
}

// withoutLicence is the verdict on a run that ended since it lost its licence.
func (s Snapshot) withoutLicence() (Kind, string) {
	return LicenceError, "the licence was lost while the run computed: " + s.lostLicence() + s.at()
}

// whichCase names the run of a process that makes several, and an earlier one that did
// not complete.
func (s Snapshot) whichCase() string {
	name := s.Case()
	switch {
	case name == "":
		return ""
	case s.Undone != nil:
		return name + ", after " + s.Undone.String() + ": "
	}
	return name + ", "
}

// at is where the run ended.
func (s Snapshot) at() string { return ": " + s.Summary() }

func (s Snapshot) lastWords() string {
	if s.LastWords == "" {
		return ""
	}
	return fmt.Sprintf("; last words: %q", s.LastWords)
}

func (s Snapshot) because() string {
	if s.Termination == "" {
		return ""
	}
	return " (termination " + s.Termination + ")"
}

// bySignal is the verdict on what a signal ended: a crash is an error.
func bySignal(n int) (Kind, string) {
	if signals.IsCrash(n) {
		return Failed, "crashed with " + signals.Name(n)
	}
	return Killed, "ended by " + signals.Name(n)
}
