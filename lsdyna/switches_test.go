// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"testing"

	"github.com/shoenig/test/must"
)

func mustSwitch(t *testing.T, text string) Switch {
	t.Helper()
	sw, err := ParseSwitch(text)
	must.NoError(t, err)
	return sw
}

func TestParseSwitch(t *testing.T) {
	for text, want := range map[string]string{
		"sw1": "sw1.", " SW3. ": "sw3.", "stop": "stop", "Quit": "quit", "endtime=0.02": "endtime=0.02", "ENDTIME=1E-2": "endtime=1e-2", "swd": "swd.", "swn": "swn.",
		"swz": "swz.", "SW9.": "sw9.", "newone": "newone",
	} {
		must.Eq(t, want, mustSwitch(t, text).Name)
	}
	for _, text := range []string{"", ".", "sw5", "SW5.", "sw", "sw!", "sw..", "swzz.", "stop.", "9sw", "longerthan", "a b", "a/b", "sw1;rm", "swé", "\x1b[2J", "endtime", "endtime=", "endtime=-1", "endtime=0", "endtime=1 2", "endtime=1\n2", "endtime=x", "sw1\nstop", "kill -9 1"} {
		_, err := ParseSwitch(text)
		must.Error(t, err, must.Sprintf("%q", text))
	}
	must.True(t, mustSwitch(t, "sw1").Dumps && mustSwitch(t, "sw1").Terminates)
	must.True(t, mustSwitch(t, "sw3").Dumps && !mustSwitch(t, "sw3").Terminates)
	must.True(t, !mustSwitch(t, "stop").Dumps && mustSwitch(t, "stop").Terminates)
}

// Newer versions of LS-DYNA know switches that this table does not.
func TestParseSwitch_unknown(t *testing.T) {
	for text, unknown := range map[string]bool{"swz": true, "newone": true, "swn": false, "sw1": false, "endtime=1": false} {
		must.Eq(t, unknown, mustSwitch(t, text).Unknown, must.Sprint(text))
	}
	must.False(t, mustSwitch(t, "swz").Terminates)
}

func TestParseStop(t *testing.T) {
	for _, text := range []string{"sw1", "swd", "stop", "swz"} {
		sw, err := ParseStop(text)
		must.NoError(t, err)
		must.True(t, sw.Terminates, must.Sprint(text))
	}
	for text, words := range map[string]string{
		"sw3": "does not end a run; use sw1", "endtime=1": "does not end a run", "sw5": "interactive graphics", "": "not a sense switch; use sw1",
		"a b": `"a b" is not a sense switch; use sw1 (dump and terminate), swd or stop, or a word`,
	} {
		_, err := ParseStop(text)
		must.ErrorContains(t, err, words, must.Sprint(text))
	}
}

func TestSwitch_EndTime(t *testing.T) {
	end, ok := mustSwitch(t, "endtime=2E-2").EndTime()
	must.True(t, ok)
	must.Eq(t, .02, end)
	_, ok = mustSwitch(t, "sw1").EndTime()
	must.False(t, ok)
}

func FuzzParseSwitch(f *testing.F) {
	for _, s := range []string{"sw1", "SW3.", "stop", "swz", "word", "endtime=1e-3", "endtime=", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sw, err := ParseSwitch(text)
		if err != nil {
			return
		}
		again, err := ParseSwitch(sw.Name)
		must.NoError(t, err)
		must.Eq(t, sw, again)
		for _, c := range sw.Name {
			must.True(t, c > ' ' && c < 0x7f)
		}
	})
}
