// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// start is what a process prints before its header.
const start = " License option : check network license only\n\n      Date: 03/02/2025      Time: 10:30:00  \n"

// A run that is refused before it prints its header is not the one before it, which may have
// completed in the same process, or in the same file.
func TestReader_aRunThatIsRefusedBeforeItsHeader(t *testing.T) {
	done := caseRun(t, "completed-smp.stdout", "10:00:00", "")
	cases := caseRun(t, "completed-smp.stdout", "10:00:00", "case jobid=heavy")
	for name, c := range map[string]struct {
		text   string
		want   Kind
		reason string
	}{
		"an error and a plain banner, no start": {done + "\r\n *** Error 70004 (OTH+4)\r\n     cannot open it\r\n\r\nError termination\r\n", Failed, "error termination: *** Error 70004 (OTH+4) cannot open it: no cycle was run"},
		"a start, an error and a plain banner":  {done + start + " *** Error 70004 (OTH+4)\n     cannot open it\n\n Error termination\n", Failed, "*** Error 70004"},
		"a start and an error":                  {done + start + " *** Error 70004 (OTH+4)\n     cannot open it\n", Failed, "*** Error 70004"},
		"no licence":                            {done + start + " LSTC License file not found\n Error termination\n", LicenceError, "no licence: LSTC License file not found"},
		"no licence, no banner":                 {done + start + " LSTC License file not found", LicenceError, "no licence"},
		"no date":                               {done + " License option : check network license only\n LSTC License file not found\n Error termination\n", LicenceError, "no licence"},
		"a crash":                               {done + start + "forrtl: severe (174): SIGSEGV, segmentation fault occurred\n", Failed, "signal 11"},
		"two in a row":                          {done + start + " Error termination\n" + start + " LSTC License file not found\n Error termination\n", LicenceError, "no licence"},
		"before a run that completes":           {" LSTC License file not found\n Error termination\n" + start + done[1:], Completed, "at the end time"},
		"between two that complete":             {done + start + " Error termination\n" + caseRun(t, "completed-smp.stdout", "11:00:00", ""), Completed, "at the end time"},
		"before one that breaks off":            {" LSTC License file not found\n Error termination\n" + caseRun(t, "cut.stdout", "11:00:00", ""), Unknown, "printed no end"},
		"a case without a licence":              {cases + start + " LSTC License file not found\n Error termination\n", LicenceError, "no licence"},
		"a case, and another that completes":    {cases + start + " Error termination\n" + headless(t, "completed-smp.stdout"), Failed, "run 2 of the process: error termination"},
		"a case in trouble, without an end":     {cases + start + " LSTC License file not found\n", Unknown, "printed no end"},
		"only the words of a start":             {done + start, Completed, "at the end time"},
		"an error behind the end, no more":      {done + " *** Error 40540 (SOL+540)\n     too late\n", Completed, "1 error"},
		"an error and its banner, no header":    {done + " *** Error 40540 (SOL+540)\n     too late\n \n E r r o r   t e r m i n a t i o n\n", Failed, "*** Error 40540"},
		"the end of a script":                   {done + "Error termination: 0 of 3 runs\n", Completed, "at the end time"},
		"a title in the deck":                   {"Error termination of the belt study\n" + caseRun(t, "cut.stdout", "10:00:00", ""), Unknown, "printed no end"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout := read(lsdyna.KindStdout, c.text)
			for _, all := range [][]Source{{stdout}, {stdout, read(lsdyna.KindMessag, done)}} { // messag is of the first run, or of the one before
				o := Decide(Combine(all), Exit{Known: true})
				must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
				must.StrContains(t, o.Reason, c.reason)
				if len(all) == 1 && c.want == Unknown {
					break // messag has an end that stdout does not show
				}
			}
			var r Reader
			for i := range c.text {
				_, _ = r.Write([]byte(c.text[i : i+1]))
				if i%500 == 0 {
					_ = r.Final()
				}
			}
			must.Eq(t, whole([]byte(c.text)), r.Final())
		})
	}
}

// The driver's start timeout is not for a case: it looks at what is there while a case
// begins.
func TestReader_aCaseThatBeginsIsNoStartOfTheProcess(t *testing.T) {
	text := caseRun(t, "completed-smp.stdout", "10:00:00", "case jobid=heavy") + start
	for _, more := range []string{"", " [license/error] no answer\n", " *** Error 70004 (OTH+4)\n     x\n \n"} {
		var r Reader
		_, _ = r.Write([]byte(text + more))
		must.True(t, r.Facts().LicenceGranted, must.Sprint(more))
	}
}

// A process of several runs may be ended between two of them.
func TestDecide_endedBetweenTwoCases(t *testing.T) {
	of := func(words, behind string) Snapshot {
		return Combine([]Source{read(lsdyna.KindStdout, caseRun(t, "completed-smp.stdout", "10:00:00", words)+behind)})
	}
	const limit = "slurmstepd: error: *** JOB 1 ON n CANCELLED AT 2025-03-02T10:02:00 DUE TO TIME LIMIT ***\n"
	for name, c := range map[string]struct {
		behind string
		exit   Exit
		want   Kind // with case; else it has completed
		reason string
	}{
		"nothing":                  {"", Exit{Known: true}, Completed, "at the end time"},
		"nobody saw the end":       {"", Exit{}, Completed, "at the end time"},
		"SIGKILL":                  {"", Exit{Known: true, Signal: 9}, Killed, "ended by signal 9 (SIGKILL) behind the end of case 1 (heavy), which may not be the last"},
		"a crash":                  {"", Exit{Known: true, Signal: 11}, Failed, "crashed with signal 11"},
		"out of memory":            {"", Exit{Known: true, OOMKilled: true}, Killed, "out of memory"},
		"a signal, by a launcher":  {"", Exit{Known: true, Code: 9, Launcher: lsdyna.MPICH}, Killed, "signal 9"},
		"an exit code":             {"", Exit{Known: true, Code: 3}, Unknown, "exit code 3"},
		"a batch system":           {limit, Exit{}, Killed, "TIME LIMIT"},
		"a warning of the runtime": {"forrtl: warning (406): fort: (1): a temporary was made\n", Exit{Known: true}, Completed, "at the end time"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Decide(of("case jobid=heavy", c.behind), c.exit)
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
			must.Eq(t, Completed, Decide(of("", c.behind), c.exit).Kind, must.Sprint("one run"))
		})
	}
	live := Exit{Running: true}
	must.Eq(t, Running, Decide(of("case", ""), live).Kind)
	must.Eq(t, Completed, Decide(of("", ""), live).Kind)
}
