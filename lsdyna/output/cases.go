// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around"
)

// Process is what an output holds about the runs of one process. With `case` on its
// command line a solver makes several, one after the other, each with a header.
type Process struct {
	CaseDriver  bool   // this run or one before it in the process had `case` on its command line
	JobID       string // of this run, as its command line says; "" not known
	CommandLine string // of this run: the arguments that it echoes, without servers
	Before      int    // runs of the process before this one
	Undone      *Undone
}

// Undone is the first run of a process that did not complete.
type Undone struct {
	Number int    // 1 for the first run of the process
	JobID  string // "" not known
	Outcome
}

// String says it in one line.
func (u *Undone) String() string {
	name := ""
	if u.JobID != "" {
		name = " (" + u.JobID + ")"
	}
	return fmt.Sprintf("run %d of the process%s: %s", u.Number, name, u.Reason)
}

// Case names the run that is under way, or was the last, of a process that makes several;
// "" where it makes one.
func (p Process) Case() string {
	switch {
	case !p.CaseDriver && p.Before == 0:
		return ""
	case p.JobID == "":
		return fmt.Sprintf("case %d", p.Before+1)
	}
	return fmt.Sprintf("case %d (%s)", p.Before+1, p.JobID)
}

// rerunAfter is the time between two runs after which the second is one of another
// process, if both have `case` on their command lines.
const rerunAfter = 10 * time.Minute

// goesOn reports whether a header that is being read belongs to the process of the run
// before it. Another process prints what a start prints, the licence option and the date,
// before its header. The runs of a case driver have that as well, and only the command
// line of the first says what they are. A run that broke off had no process to go on with.
func (r *Reader) goesOn(before *Facts) bool {
	over := before.Banner != NoBanner || before.PlainError
	return before.Runs > 0 && over && (before.CaseDriver || !r.begun)
}

// next is the facts with which the next run of the process begins.
func (f *Facts) next() Facts {
	after := Facts{Runs: f.Runs, Started: f.Started, Process: Process{CaseDriver: f.CaseDriver, Before: f.Before + 1, Undone: f.Undone}}
	after.Nodes, after.NodesStop = f.Nodes, f.NodesStop
	after.Dumps = f.Dumps // their files are the process's, and a stop waits for the last of them
	after.afterDump()
	// A start timeout must not end the second of two cases.
	after.LicenceGranted, after.LicenceKind = f.LicenceGranted, f.LicenceKind
	if o := Decide(Combine([]Source{{Kind: lsdyna.KindMessag, Facts: f.alone()}}), Exit{}); o.Kind != Completed && after.Undone == nil {
		after.Undone = &Undone{Number: after.Before, JobID: f.JobID, Outcome: o}
	}
	return after
}

// alone is the facts of this run, whatever those before it in the process were.
func (f *Facts) alone() Facts {
	one := *f
	one.Undone = nil
	return one
}

// begins keeps what is known of a run that is over apart, because a process says that it
// begins another one, which may be refused before it prints a header.
func (r *Reader) begins() {
	f := &r.facts
	if f.Banner == NoBanner && !f.PlainError {
		return // not over, or not the first sign of the beginning
	}
	before := f.clone()
	earliest := before.Started.Add(sameRun + time.Second) // until its date is printed
	if at := time.Unix(before.LastWall, 0).UTC(); at.After(earliest) {
		earliest = at
	}
	*f = Facts{Runs: f.Runs}
	if before.CaseDriver {
		*f = before.next()
	}
	f.Nodes, f.NodesStop, f.Started = before.Nodes, before.NodesStop, earliest
	r.over, r.inText, r.outside = &before, ofNothing, around.Reader{}
}

// began ends that, since the header is there: one that was refused is a run of its own.
func (r *Reader) began() {
	if r.over != nil && !r.facts.PlainError {
		r.facts = r.over.clone()
	}
	r.over = nil
}

// ofLastRun is the facts of the last run that is known to have begun. final: nothing more
// will come.
func (r *Reader) ofLastRun(final bool) *Facts {
	f := &r.facts
	if r.over == nil || f.PlainError || f.Banner != NoBanner || r.begun && (f.Errors > 0 || f.Unnumbered != "" || f.Around() || final && f.LicenceTrouble != "") {
		return f
	}
	before := r.over.clone()
	before.Errors += f.Errors
	before.FirstErrors = append(before.FirstErrors, f.FirstErrors...)
	before.FirstErrors = before.FirstErrors[:min(len(before.FirstErrors), maxErrors)]
	before.LastLine, before.NodesEnded = cmp.Or(f.LastLine, before.LastLine), cmp.Or(f.NodesEnded, before.NodesEnded)
	return &before
}

// plainBanner takes "Error termination", as a solver prints it that has not begun yet. It
// stands alone: titles of decks begin so, too.
func (r *Reader) plainBanner(rest []byte) {
	if len(bytes.TrimRight(rest, " .\t")) > 0 {
		return
	}
	if r.facts.EndBlock {
		r.begins()
	}
	r.facts.PlainError = true
}

// commandLine takes the echo of the arguments, which goes on below with many blanks.
func (r *Reader) commandLine(rest []byte) {
	r.inEcho = true
	r.arguments(rest)
}

// echoIndent is how far the further lines of the echoed arguments are indented.
const echoIndent = 10

func (r *Reader) arguments(text []byte) {
	f := &r.facts
	line := sanitize.Line(text, maxErrorText)
	echoed := strings.Contains(" "+f.CommandLine+" ", " "+sanitize.Arguments(line)+" ") // the header, and again before the deck
	if !echoed && len(f.CommandLine) < maxErrorText {
		f.CommandLine = sanitize.Arguments(f.CommandLine + " " + line)
	}
	for field := range bytes.FieldsSeq(text) {
		word := strings.ToLower(string(field[:min(len(field), maxFactText)]))
		switch {
		case word == "case", word == "-case", strings.HasPrefix(word, "case="):
			if f.Before > 0 && r.pause > rerunAfter {
				f.Process = Process{} // started anew, into the same file
			}
			f.CaseDriver = true
		case strings.HasPrefix(word, "jobid="):
			f.JobID = sanitize.Line(field[len("jobid="):], 80)
		case strings.HasPrefix(word, "ncycle="):
			r.endCycle(field[len("ncycle="):])
		case strings.HasPrefix(word, "ncpu="):
			r.threadsAsked(field[len("ncpu="):])
		}
	}
}

func (p *Process) add(other Process) {
	p.CaseDriver = p.CaseDriver || other.CaseDriver
	p.JobID = cmp.Or(p.JobID, other.JobID)
	p.CommandLine = cmp.Or(p.CommandLine, other.CommandLine)
	p.Before = max(p.Before, other.Before)
	if p.Undone == nil {
		p.Undone = other.Undone
	}
}

// cutOff is the verdict on a process that makes several runs and was ended behind the end
// of one: nothing tells that this was its last. It is "" where nothing ended it.
func (s Snapshot) cutOff(e Exit) (Kind, string) {
	if !s.CaseDriver {
		return "", ""
	}
	behind := "behind the end of " + s.Case() + ", which may not be the last: " + s.Summary()
	if e.Signal != 0 || e.OOMKilled {
		kind, cause := e.ended()
		return kind, cause + " " + behind
	}
	others := Snapshot{Ending: Ending{Said: s.Said}}
	if s.CrashSignal == 0 { // a warning of the runtime
		others.Crash = ""
	}
	kind, reason := said(others)
	if of, why := ofNodes(s); of != "" {
		kind, reason = of, why
	}
	switch n := e.signal(); {
	case kind != "":
		return kind, reason + " " + behind
	case s.Cancelled != "":
		return Killed, "cancelled: " + s.Cancelled + " " + behind
	case e.Known && n != 0:
		kind, cause := bySignal(n)
		return kind, fmt.Sprintf("%s (exit code %d) %s", cause, e.Code, behind)
	case s.RankExit != "":
		return Failed, "crashed: " + s.RankExit + " " + behind
	case e.Known && e.Code != 0:
		return Unknown, fmt.Sprintf("ended with exit code %d %s", e.Code, behind)
	}
	return "", ""
}

// ofProcess is the verdict on a process of several runs, of which the last ended as
// outcome says.
func (s Snapshot) ofProcess(o Outcome) Outcome {
	if s.Undone == nil || o.Kind == Running {
		return o
	}
	last := fmt.Sprintf("run %d, the last: %s", s.Before+1, o.Reason)
	switch o.Kind {
	case Completed, Stopped, Unknown:
		first := s.Undone.FirstError
		return Outcome{Kind: s.Undone.Kind, Reason: fmt.Sprintf("%s; %s", s.Undone, last), FirstError: cmp.Or(first, o.FirstError), RestartFile: o.RestartFile}
	}
	o.Reason = fmt.Sprintf("%s; before it, %s", last, s.Undone)
	return o
}

// AddBefore adds the runs of the same process that came before the last one, of which
// each has outputs of its own; their names are the jobids. Runs of other processes are
// left out: the first of a process has `case` on its command line.
func (s *Snapshot) AddBefore(runs []Source) {
	slices.SortStableFunc(runs, func(a, b Source) int { return a.Started.Compare(b.Started) })
	for i := range runs {
		f := &runs[i].Facts
		if f.Started.IsZero() || !f.Started.Before(s.Started) {
			continue
		}
		if f.CaseDriver {
			s.CaseDriver = true
		}
		if !s.CaseDriver || f.Banner == NoBanner {
			continue
		}
		s.Before++
		o := Decide(Combine([]Source{{Kind: runs[i].Kind, Facts: *f}}), Exit{})
		if o.Kind != Completed && s.Undone == nil {
			s.Undone = &Undone{Number: s.Before, JobID: runs[i].Name, Outcome: o}
		}
	}
}
