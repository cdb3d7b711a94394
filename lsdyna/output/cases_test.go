// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// caseRun is a run of a process, made of a fixture: it has its own date, and the words
// on its command line.
func caseRun(t *testing.T, file, clock, arguments string) string {
	t.Helper()
	text := string(fixture(t, file))
	text = strings.Replace(text, "Time: 10:00:00", "Time: "+clock, 1)
	return strings.Replace(text, "Command line options: i=main.k", "Command line options: i=main.k "+arguments, 1) + "\n"
}

// headless is a run whose header has no date: no process begins so.
func headless(t *testing.T, file string) string {
	_, after, found := strings.Cut(string(fixture(t, file)), "      ____")
	must.True(t, found)
	return "      ____" + after + "\n"
}

func TestReader_runsOfOneProcess(t *testing.T) {
	const done, failed, stopped, broke = "completed-smp.stdout", "error.stdout", "stopped-kill-file.stdout", "cut.stdout"
	first := func(file string) string { return caseRun(t, file, "10:00:00", "case jobid=heavy") }
	then := func(file string) string { return caseRun(t, file, "11:00:00", "jobid=light") }
	for name, c := range map[string]struct {
		text   string
		want   Kind
		reason string
	}{
		"all complete":                         {first(done) + then(done), Completed, "at the end time"},
		"the first failed":                     {first(failed) + then(done), Failed, "run 1 of the process (heavy): error termination: *** Error 40500"},
		"the second of three failed":           {first(done) + then(failed) + then(done), Failed, "run 2 of the process (light): error termination"},
		"the last failed":                      {first(done) + then(failed), Failed, "error termination"},
		"both failed":                          {first(failed) + then(failed), Failed, "before it, run 1 of the process (heavy)"},
		"the first was stopped":                {first(stopped) + then(done), Stopped, "run 1 of the process (heavy): stopped by"},
		"the last was stopped":                 {first(failed) + then(stopped), Failed, "run 1"},
		"the words are CASE=1,2":               {caseRun(t, failed, "10:00:00", "CASE=1,2") + then(done), Failed, "run 1"},
		"no start between, no words":           {caseRun(t, failed, "10:00:00", "") + headless(t, done), Failed, "run 1"},
		"another process":                      {caseRun(t, failed, "10:00:00", "") + then(done), Completed, "at the end time"},
		"another process, a loop":              {caseRun(t, failed, "10:00:00", "") + caseRun(t, done, "10:02:06", ""), Completed, "at the end time"},
		"the first broke off, another came":    {first(broke) + then(done), Completed, "at the end time"},
		"all cases anew":                       {first(failed) + then(done) + caseRun(t, done, "15:00:00", "case jobid=heavy") + then(done), Completed, "at the end time"},
		"each has the word, one after another": {first(failed) + caseRun(t, done, "10:02:00", "case jobid=light"), Failed, "run 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{read(lsdyna.KindStdout, c.text)})
			o := Decide(s, Exit{Known: true})
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
			if c.want == Failed {
				must.NotNil(t, o.FirstError)
			}
			must.Eq(t, Running, Decide(Combine([]Source{read(lsdyna.KindStdout, c.text+headless(t, broke))}), Exit{Running: true}).Kind)
		})
	}
}

// The second of two cases has the licence of its process: a start timeout is not for it.
// The arguments stand in the header, and once more before the deck.
func TestReader_commandLineOnce(t *testing.T) {
	for _, text := range []string{
		" Command line options: i=main.k\n                      ncpu=2\n",
		" > i=main.k ncpu=2\n Command line options: i=main.k\n                      ncpu=2\n",
	} {
		s := Combine([]Source{read(lsdyna.KindStdout, text)})
		must.Eq(t, "i=main.k ncpu=2", strings.TrimSpace(s.CommandLine), must.Sprint(text))
	}
}

func TestReader_laterCasesAreGranted(t *testing.T) {
	f := whole([]byte(caseRun(t, "completed-smp.stdout", "10:00:00", "case") + "      Date: 03/02/2025      Time: 10:03:00  \n     |  Version : smp d R13       |\n"))
	must.True(t, f.LicenceGranted)
	must.Eq(t, 1, f.Before)
	must.False(t, f.HasTime)
}

// Of many runs only the first that did not complete is kept.
func TestReader_keepsLittleOfManyCases(t *testing.T) {
	var r Reader
	run := []byte(caseRun(t, "error.stdout", "10:00:00", "case"))
	next := []byte(headless(t, "error.stdout"))
	_, _ = r.Write(run)
	for range 1000 {
		_, _ = r.Write(next)
	}
	f := r.Facts()
	must.Eq(t, 1000, f.Before)
	must.Eq(t, 1, f.Undone.Number)
	must.Less(t, 4096, len(Decide(Combine([]Source{{Kind: lsdyna.KindStdout, Facts: f}}), Exit{}).Reason))
}

func TestSnapshot_AddBefore(t *testing.T) {
	of := func(name, text string) Source {
		s := read(lsdyna.KindMessag, text)
		s.Name = name
		return s
	}
	at := func(clock, file, words string) string { return caseRun(t, file, clock, words) }
	last := func() Snapshot { return Combine([]Source{of("light", at("12:00:00", "completed-smp.stdout", ""))}) }
	for name, c := range map[string]struct {
		runs   []Source
		before int
		undone string
	}{
		"none":                         {nil, 0, ""},
		"of this process":              {[]Source{of("heavy", at("10:00:00", "error.stdout", "case"))}, 1, "heavy"},
		"the order is that of dates":   {[]Source{of("b", at("11:00:00", "error.stdout", "")), of("a", at("10:00:00", "stopped-kill-file.stdout", "case"))}, 2, "a"},
		"of other processes":           {[]Source{of("heavy", at("10:00:00", "error.stdout", ""))}, 0, ""},
		"of another, before the first": {[]Source{of("old", at("09:00:00", "error.stdout", "")), of("a", at("10:00:00", "completed-smp.stdout", "case"))}, 1, ""},
		"later than the last":          {[]Source{of("heavy", at("13:00:00", "error.stdout", "case"))}, 0, ""},
	} {
		s := last()
		must.Eq(t, time.Date(2025, 3, 2, 12, 0, 0, 0, time.UTC), s.Started)
		s.AddBefore(c.runs)
		must.Eq(t, c.before, s.Before, must.Sprint(name))
		if c.undone == "" {
			must.Nil(t, s.Undone, must.Sprint(name))
			continue
		}
		must.Eq(t, c.undone, s.Undone.JobID, must.Sprint(name))
		must.NotEq(t, Completed, Decide(s, Exit{}).Kind)
	}
}

// A rank's label and stream change from line to line.
func TestReader_labelsOfSeveralRanks(t *testing.T) {
	var text strings.Builder
	for line := range strings.Lines(string(fixture(t, "cut.stdout"))) {
		text.WriteString("[1,0]<stdout>:" + line)
	}
	text.WriteString("\n[1,12]<stderr>:forrtl: severe (174): SIGSEGV, segmentation fault occurred\n")
	o := Decide(Combine([]Source{read(lsdyna.KindStdout, text.String())}), Exit{})
	must.Eq(t, Failed, o.Kind)
	must.StrContains(t, o.Reason, "signal 11")

	f := whole([]byte("[1,12]<stderr>:forrtl: severe (174): SIGSEGV, segmentation fault occurred\n"))
	must.Eq(t, 11, f.CrashSignal)
}

// What somebody wrote about an output is no output with a prefix.
func TestReader_quotedLinesAreNoPrefix(t *testing.T) {
	for _, line := range []string{"grep: N o r m a l    t e r m i n a t i o n", "I saw N o r m a l    t e r m i n a t i o n today", "see *** Error 40509 there", "Date: 03/02/2025"} {
		f := whole([]byte(line + "\n" + line + "\n"))
		must.Eq(t, NoBanner, f.Banner, must.Sprint(line))
		must.Eq(t, 0, f.Errors, must.Sprint(line))
	}
}
