// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/stamp"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
)

// lineRule is one kind of line: what it begins with, without leading blanks, and
// the method that takes what follows the prefix.
type lineRule struct {
	prefix string
	take   func(r *Reader, rest []byte)
}

// rules by the first byte of a line. Source: outputs of LS-DYNA R6 to R16.
var rules = [256][]lineRule{
	'*': {
		{"*** Error ", (*Reader).solverError},
		{"*** Warning ", (*Reader).warning},
		{"*** termination ", (*Reader).termination},
		{"*** NaN detected", (*Reader).broken},
		{"*** sense switch ", (*Reader).switchLine},
		{"*** kill file detected", func(r *Reader, _ []byte) { r.facts.KillFile = true; r.facts.reach(PhaseEnding) }},
	},
	'N': {
		{"N o r m a l ", func(r *Reader, rest []byte) { r.banner(rest, NormalBanner) }},
		{"Number of CPU's", func(r *Reader, rest []byte) { r.processors(rest) }},
	},
	'E': {
		{"E r r o r ", func(r *Reader, rest []byte) { r.banner(rest, ErrorBanner) }},
		{"Executing with ", (*Reader).licenceGranted},
		{"Error termination", (*Reader).plainBanner},
		{"Elapsed time ", (*Reader).elapsed},
		{"Equilibrium established ", (*Reader).sign},
	},
	'P': {
		{"Problem time ", (*Reader).problemTime},
		{"Problem cycle ", (*Reader).problemCycle},
		{"Parallel execution with ", func(r *Reader, rest []byte) { r.facts.Parallel = mpp(r.facts.Parallel); r.processors(rest) }},
		{"Performing Decomposition", func(r *Reader, _ []byte) { r.facts.onDeck(PhaseDecomposing) }},
	},
	'M': {
		{"MPP execution with ", func(r *Reader, rest []byte) { r.facts.Parallel = mpp(r.facts.Parallel); r.processors(rest) }},
		{"Memory required to complete solution", (*Reader).memoryRequired},
	},
	'|': {
		{"|  Version :", (*Reader).version},
		{"|  Revision:", (*Reader).revision},
		{"|  Precision  :", (*Reader).precision},
		{"|  Hostname   :", (*Reader).host},
	},
	'p': {
		{"physical mass=", (*Reader).physicalMass},
		{"percentage increase =", (*Reader).massIncrease},
	},
	'C': {{"Command line options:", (*Reader).commandLine}},
	'L': {{"License option", func(r *Reader, _ []byte) { r.begins(); r.begun, r.facts.LicenceAsked = true, true }}},
	'D': {
		{"Date: ", (*Reader).headerDate},
		{"Dynamic relaxation", (*Reader).relaxation},
	},
	'd': {{"dynamic relaxation", (*Reader).relaxation}},
	't': {
		{"termination time...", (*Reader).endTime},
		{"termination time ", (*Reader).endTime},
		{"termination cycle...", (*Reader).endCycle},
	},
	'i': {
		{"initialization completed", func(r *Reader, _ []byte) { r.facts.onDeck(PhaseInitialising) }},
		{"input of data is completed", func(r *Reader, _ []byte) { r.facts.onDeck(PhaseInitialising) }},
	},
	'I': {
		{"Initial reading of file", func(r *Reader, _ []byte) { r.facts.onDeck(PhaseReading) }},
		{"Iteration:", (*Reader).sign},
	},
	'a': {{"added mass ", (*Reader).addedMass}},
	'B': {
		{"Beginning of keyword reader", func(r *Reader, _ []byte) { r.facts.onDeck(PhaseReading) }},
		{"BEGIN implicit ", func(r *Reader, rest []byte) { r.facts.onDeck(PhaseSolving); r.facts.Implicit = true; r.sign(rest) }},
	},
	'n': {
		{"ncpu=", (*Reader).threadsAsked},
		{"number of cycles between restart dumps", (*Reader).dumpEvery},
		{strings.TrimLeft(NodesLine, " "), (*Reader).nodes},
	},
	's': {{"sense switch ", (*Reader).switchLine}},
	'>': {{">", (*Reader).commandEcho}},
}

// classify takes a line without leading blanks; it is not empty. It reports whether the
// line is one of LS-DYNA.
func (r *Reader) classify(text []byte) bool {
	for _, rule := range rules[text[0]] {
		if len(text) >= len(rule.prefix) && string(text[:len(rule.prefix)]) == rule.prefix {
			rule.take(r, text[len(rule.prefix):])
			return true
		}
	}
	f := &r.facts
	if f.LicenceGranted && r.over == nil {
		r.licenceLost(text)
	} else {
		r.licenceProblem(text)
	}
	if f.Time == 0 && !f.Eigenvalues && !f.EndBlock {
		f.Eigenvalues = lines.AsksModes(text)
	}
	return false
}

// solverError takes ` *** Error 40500 (SOL+500)`, and an error without a number:
// ` *** Error NaN detected on processor #         30  <<<`. Rows of asterisks and notes
// are none. Only those with a number are counted.
func (r *Reader) solverError(rest []byte) {
	code, class, ok := lines.Numbered(rest)
	if r.facts.EndBlock {
		r.begins() // no run prints one behind its end
	}
	f := &r.facts
	if !ok {
		text := strings.TrimRight(sanitize.Public(rest, maxErrorText), " <*")
		if text == "" || strings.HasPrefix(text, "termination") {
			return
		}
		if strings.HasPrefix(text, "in `") { // the C library, before it aborts the process
			around.Abort(&f.Said, text)
			return
		}
		sanitize.KeepFirst(&f.Unnumbered, []byte(text), maxFactText)
		return
	}
	f.Errors++
	if code == studentLimit {
		f.StudentLimit = true
	}
	if len(f.FirstErrors) < maxErrors {
		f.FirstErrors = append(f.FirstErrors, SolverError{Code: code, Class: class})
		r.inText = ofError
	}
}

// studentLimit is the number of the error "Number of elements exceeds limit",
// which a student licence ends with. No banner follows.
const studentLimit = 70043

// warning takes ` *** Warning 21129 (STR+1129)`. Of each kind the first one's text is kept.
func (r *Reader) warning(rest []byte) {
	code, class, ok := lines.Numbered(rest)
	if !ok {
		return
	}
	r.facts.Warnings++
	if r.facts.Kinds.Count(code, class) {
		r.inText = ofWarning
	}
}

// termination takes ` *** termination time reached ***`,
// ` *** termination due to sense switch: stop ***` and others of the kind.
func (r *Reader) termination(rest []byte) {
	f := &r.facts
	text := strings.TrimRight(sanitize.Line(rest, maxFactText), " *")
	switch {
	case text == "time reached":
		f.TimeReached = true
	case strings.HasPrefix(text, "due to sense switch:"):
		f.SenseSwitch = strings.TrimSpace(strings.TrimPrefix(text, "due to sense switch:"))
	default:
		f.Termination = strings.TrimRight(sanitize.Public(rest, maxFactText), " *")
		if strings.Contains(text, "out-of-range") || strings.Contains(text, "NaN") {
			f.Broken = "termination " + f.Termination
		}
	}
	f.reach(PhaseEnding)
}

// switchLine takes what a solver prints about a sense switch.
func (r *Reader) switchLine(rest []byte) {
	r.facts.SwitchLines++
	r.facts.SwitchLine = "sense switch " + sanitize.Public(rest, maxFactText)
}

// dumpEvery takes `number of cycles between restart dumps.........99999999`.
func (r *Reader) dumpEvery(rest []byte) { r.facts.DumpEvery, _ = fortran.FirstInteger(rest) }

// broken takes ` *** NaN detected.  Please check message file from processor for detail.`.
func (r *Reader) broken(rest []byte) {
	sanitize.KeepFirst(&r.facts.Broken, append([]byte("NaN detected"), rest...), maxFactText)
}

// banner takes `N o r m a l    t e r m i n a t i o n`. Between the two words are 4
// blanks in the normal banner and 3 in the error banner.
func (r *Reader) banner(rest []byte, b Banner) {
	if !bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("t e r m i n a t i o n")) {
		return
	}
	f := &r.facts
	f.Banner = b
	f.afterDump()
	f.reach(PhaseEnding)
	if f.HasElapsed {
		f.EndBlock = true
		f.reach(PhaseEnded)
	}
}

// maxProcessors is the largest number of processors in an output that is taken for
// one. It is no limit of LS-DYNA: a larger number means that the line is damaged or
// forged. The largest machines have less than a tenth of it.
const maxProcessors = 8 << 20

func (r *Reader) processors(rest []byte) {
	if n, ok := fortran.FirstInteger(rest); ok && n > 0 && n <= maxProcessors {
		r.facts.Processors = int(n)
	}
}

func mpp(was lsdyna.Parallel) lsdyna.Parallel {
	if was == lsdyna.Hybrid {
		return lsdyna.Hybrid
	}
	return lsdyna.MPP
}

// elapsed takes `Elapsed time    4592 seconds(   1 hours …) for   16386 cycles`
// and `Elapsed time       0 second  for     576 cycles using  2 SMP threads`.
func (r *Reader) elapsed(rest []byte) {
	if n, ok := fortran.FirstInteger(rest); ok {
		r.facts.ElapsedSeconds, r.facts.HasElapsed = n, true
	}
	switch {
	case bytes.Contains(rest, []byte("SMP thread")) && r.facts.Parallel == "":
		r.facts.Parallel = lsdyna.SMP
	case bytes.Contains(rest, []byte("MPP proc")):
		r.facts.Parallel = mpp(r.facts.Parallel)
	}
}

func (r *Reader) problemTime(rest []byte) {
	if t, ok := lines.AfterEquals(rest); ok {
		r.facts.HasTime, r.facts.Time, r.facts.FinalTime = true, t, true
	}
}

func (r *Reader) problemCycle(rest []byte) {
	if n, ok := fortran.FirstInteger(rest); ok {
		r.facts.Cycle = n
	}
}

// memoryRequired takes the size of the static pool in words: `: 5457K` or `: 1265102`.
func (r *Reader) memoryRequired(rest []byte) {
	_, value, ok := bytes.Cut(rest, []byte(":"))
	if !ok {
		return
	}
	text := strings.ToLower(string(bytes.TrimSpace(value)))
	if words, err := lsdyna.ParseWords(text); err == nil {
		r.facts.MemoryWords = words
	}
}

// endTime takes `termination time                  = 1.200E+02` of stdout and
// `termination time...............................    0.3500E-01` of d3hsp, but
// not `termination time for dynamic relaxation`.
func (r *Reader) endTime(rest []byte) {
	value := bytes.TrimLeft(rest, " .=")
	// To trim the dots is safe: LS-DYNA prints a digit before the decimal point.
	if t, ok := fortran.Float(value); ok && t > 0 {
		r.facts.EndTime = t
		r.facts.LicenceGranted = true
	}
}

// endCycle takes `termination cycle..............................       0` of d3hsp.
func (r *Reader) endCycle(rest []byte) {
	if n, ok := fortran.FirstInteger(rest); ok {
		r.facts.EndCycle = n
	}
}

// header begins a run. A second header in the same file begins another run: the
// facts before it are of the run before.
func (r *Reader) header() {
	r.began()
	f := &r.facts
	before := f.LastWall
	switch {
	case r.goesOn(f):
		*f = f.next()
	case f.Runs > 0, f.PlainError:
		*f = Facts{Runs: f.Runs}
	}
	r.inText, r.outside = ofNothing, around.Reader{}
	f.Runs++
	if r.date != 0 {
		f.Started = time.Unix(r.date, 0).UTC()
		r.pause = 0
		if before != 0 {
			r.pause = seconds(r.date - before)
		}
	}
	r.date, r.begun = 0, false
	r.labels.Plain()
	f.reach(PhaseLicence)
}

// headerDate takes `Date: 05/20/2026      Time: 15:05:29`, printed above the
// header's box.
func (r *Reader) headerDate(rest []byte) {
	fields := bytes.Fields(rest)
	if len(fields) < 3 || len(fields[0]) != 10 || string(fields[1]) != "Time:" {
		return
	}
	short := append(append([]byte(nil), fields[0][:6]...), fields[0][8:]...)
	if wall, ok := stamp.Wall(short, fields[2]); ok {
		r.begins()
		r.date, r.begun = wall, true
		if r.over != nil {
			r.facts.Started = time.Unix(wall, 0).UTC()
		}
	}
}

// version takes ` smp d R13 |` and ` smp s R6.1.1    Date: 01/02/2013 |`. Every
// header has one such line.
func (r *Reader) version(rest []byte) {
	r.header()
	f := &r.facts
	for i, field := range bytes.Fields(rest) {
		word := strings.ToLower(string(field))
		switch {
		case i == 0 && word == "smp":
			f.Parallel = lsdyna.SMP
		case i == 0 && word == "mpp":
			f.Parallel = lsdyna.MPP
		case i == 0 && strings.HasPrefix(word, "hyb"):
			f.Parallel = lsdyna.Hybrid
		case i == 1 && word == "s":
			f.Precision = lsdyna.Single
		case i == 1 && word == "d":
			f.Precision = lsdyna.Double
		case i == 2 && word != "|":
			f.Version = sanitize.Line(field, 40)
		}
	}
}

// revision takes ` R13.1.1-27-g8731a0d8c5`, which from R12 on is more exact than
// the version line, or the number of a Subversion commit.
func (r *Reader) revision(rest []byte) {
	fields := bytes.Fields(rest)
	if len(fields) == 0 || fields[0][0] == '|' {
		return
	}
	f := &r.facts
	f.Revision = sanitize.Line(fields[0], 40)
	release, _, _ := strings.Cut(f.Revision, "-")
	if len(release) > 1 && release[0] == 'R' && release[1] >= '0' && release[1] <= '9' {
		f.Version = release
	}
}

func (r *Reader) precision(rest []byte) {
	switch {
	case bytes.Contains(rest, []byte("Single")):
		r.facts.Precision = lsdyna.Single
	case bytes.Contains(rest, []byte("Double")):
		r.facts.Precision = lsdyna.Double
	}
}

func (r *Reader) host(rest []byte) {
	r.facts.Host = sanitize.Line(bytes.TrimRight(rest, " |"), maxFactText)
}

// threadsAsked takes the ncpu= of the echoed command line. It holds until the
// closing block gives the number that was used.
func (r *Reader) threadsAsked(rest []byte) {
	if r.facts.Processors == 0 {
		r.processors(bytes.TrimLeft(rest, "-"))
	}
}

func (r *Reader) commandEcho(rest []byte) { r.arguments(rest) }
