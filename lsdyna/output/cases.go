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
	for _, field := range bytes.Fields(text) {
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
