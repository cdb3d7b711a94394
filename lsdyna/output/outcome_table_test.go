// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// outcomeTable is the table of outcomes, row by row, each with an output that
// shows it and with how the process ended.
var outcomeTable = []struct {
	row  string
	file string
	exit Exit
	want Kind
}{
	{"termination time reached, Normal banner, at the end time", "completed-smp.stdout", Exit{Known: true}, Completed},
	{"the same, of rank 0, with a line after the banner", "completed-mpp.mes0000", Exit{Known: true}, Completed},
	{"the same, with harmless licence noise", "completed-licence-noise.stdout", Exit{Known: true}, Completed},
	{"the same, and nobody saw the exit", "completed-smp.stdout", Exit{}, Completed},
	{"Normal banner short of the end time: kill file", "stopped-kill-file.stdout", Exit{Known: true}, Stopped},
	{"Normal banner short of the end time: anything else", "stopped-early-normal.stdout", Exit{Known: true}, Stopped},
	{"Normal banner of a rank above 0 alone", "rank1-alone.mes0001", Exit{Known: true}, Unknown},
	{"sense switch, then the Error banner without a number", "stopped-sense-switch.stdout", Exit{Known: true, Code: 1}, Stopped},
	{"Error banner with a number, exit code 0", "error.stdout", Exit{Known: true}, Failed},
	{"Error banner with a number, another exit code", "error.stdout", Exit{Known: true, Code: 1}, Failed},
	{"Error banner without a number and without a switch", "error-no-number.stdout", Exit{Known: true}, Failed},
	{"Error banner of the command line, CRLF, no last line end", "error-command-line.stdout", Exit{Known: true}, Failed},
	{"a number without a banner", "error-without-banner.stdout", Exit{Known: true}, Failed},
	{"error 70043, the file simply ends", "student-limit.stdout", Exit{Known: true}, LicenceError},
	{"licence trouble and nothing else", "no-licence.stdout", Exit{Known: true, Code: 1}, LicenceError},
	{"forrtl 78, SIGTERM, no banner", "killed-sigterm.stdout", Exit{Known: true, Code: 78}, Killed},
	{"forrtl of a crash, no banner", "crashed.stdout", Exit{Known: true, Code: 174}, Failed},
	{"no banner, ended by a signal", "cut.stdout", Exit{Known: true, Signal: 9}, Killed},
	{"no banner, out of memory", "cut.stdout", Exit{Known: true, Signal: 9, OOMKilled: true}, Killed},
	{"no banner, a launcher's code for a signal", "cut.stdout", Exit{Known: true, Code: 137}, Killed},
	{"no banner, an exit code", "cut.stdout", Exit{Known: true, Code: 2}, Failed},
	{"no banner, exit code 0", "cut.stdout", Exit{Known: true}, Unknown},
	{"no banner, nobody saw the exit", "cut.stdout", Exit{}, Unknown},
	{"waits for a licence, alive", "waiting-licence.stdout", Exit{Running: true}, Running},
	{"waited for a licence, ended by a signal", "waiting-licence.stdout", Exit{Known: true, Signal: 15}, Killed},
}

func TestOutcomeTable_everyRowHasItsVerdict(t *testing.T) {
	for _, c := range outcomeTable {
		t.Run(c.row, func(t *testing.T) {
			kind := lsdyna.KindStdout
			if out, ok := lsdyna.ParseOutputName(c.file[len(c.file)-len(filepath.Ext(c.file))+1:]); ok {
				kind = out.Kind
			}
			o := Decide(Combine([]Source{{Name: c.file, Kind: kind, Facts: whole(fixture(t, c.file))}}), c.exit)
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.NotEq(t, "", o.Reason)
		})
	}
}
