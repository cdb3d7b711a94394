// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
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
}

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
	if !e.Running && s.Banner != NoBanner && o.Kind != Killed {
		o.Reason += e.oddEnd()
	}
	return o
}

// verdict goes through the table of outcomes from the most certain row down.
func verdict(s Snapshot, e Exit) (Kind, string) {
	switch {
	case e.Running && !s.EndBlock:
		return Running, "running: " + s.Summary()
	case s.StudentLimit:
		return LicenceError, "the licence does not cover a model of this size: " + s.firstError()
	case s.Banner == NormalBanner:
		return normalEnd(s, e)
	case s.Banner == ErrorBanner:
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
		return Killed, "ended by " + e.cause() + " while LS-DYNA was closing its files: " + s.Summary()
	case s.SenseSwitch != "":
		return Stopped, fmt.Sprintf("stopped by sense switch %s%s", s.SenseSwitch, s.at())
	case s.KillFile:
		return Stopped, "stopped by a sense switch in d3kil" + s.at()
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
	case s.Errors > 0:
		return Failed, "error termination: " + s.firstError() + s.at()
	case s.SenseSwitch != "":
		return Stopped, fmt.Sprintf("stopped by sense switch %s%s", s.SenseSwitch, s.at())
	case s.KillFile:
		return Stopped, "stopped by a sense switch in d3kil" + s.at()
	case !s.LicenceGranted && s.LicenceTrouble != "":
		return LicenceError, "no licence: " + s.LicenceTrouble
	}
	return Failed, "error termination without an error number" + s.because() + s.at()
}

// noBanner judges a run whose outputs end without a banner.
func noBanner(s Snapshot, e Exit) (Kind, string) {
	switch {
	case e.OOMKilled:
		return Killed, "ended by " + e.cause() + s.at()
	case e.Signal != 0:
		return Killed, "ended by " + e.cause() + s.at()
	case strings.HasPrefix(s.NodesEnded, NodesLost):
		return Killed, s.NodesEnded + s.at()
	case strings.HasPrefix(s.NodesEnded, NodesStopped):
		return Stopped, s.NodesEnded + s.at()
	case s.NodesEnded != "":
		return Failed, s.NodesEnded + s.at()
	case strings.Contains(s.Crash, "SIGTERM"), strings.Contains(s.Crash, "process killed"), strings.Contains(s.Crash, "exited on signal"):
		return Killed, "ended by a signal: " + s.Crash + s.at()
	case s.Crash != "":
		return Failed, "crashed: " + s.Crash + s.at()
	case s.Errors > 0:
		return Failed, "ended without a banner after: " + s.firstError() + s.at()
	case !s.LicenceGranted && s.LicenceTrouble != "":
		return LicenceError, "no licence: " + s.LicenceTrouble
	case e.Known && e.Code > 128 && e.Code <= 128+64:
		// A shell or mpirun passes on a signal in this way.
		return Killed, fmt.Sprintf("ended by %s (exit code %d)", signalName(e.Code-128), e.Code) + s.at()
	case s.RankExit != "": // says less than an error, a licence or a signal
		return Failed, "crashed: " + s.RankExit + s.at() + s.lastWords()
	case e.Known && e.Code != 0:
		return Failed, fmt.Sprintf("ended with exit code %d, and LS-DYNA printed no end", e.Code) + s.at() + s.lastWords()
	case e.Known:
		return Unknown, "exit code 0, but LS-DYNA printed no end" + s.at() + s.lastWords()
	}
	return Unknown, "exit status unknown, and LS-DYNA printed no end" + s.at() + s.lastWords()
}

// cause names what ended the process.
func (e Exit) cause() string {
	if e.OOMKilled {
		return "the kernel: out of memory (raise resources.memory, or lower memory=)"
	}
	return signalName(e.Signal)
}

func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return fmt.Sprintf("signal %d (%s)", n, name)
	}
	return fmt.Sprintf("signal %d", n)
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
