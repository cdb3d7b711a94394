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
	for text, want := range map[string]string{"sw1": "sw1.", " SW3. ": "sw3.", "stop": "stop", "Quit": "quit", "endtime=0.02": "endtime=0.02", "ENDTIME=1E-2": "endtime=1e-2", "swd": "swd."} {
		must.Eq(t, want, mustSwitch(t, text).Name)
	}
	for _, text := range []string{"", ".", "sw5", "sw9", "stop.", "endtime=", "endtime=-1", "endtime=0", "endtime=1 2", "endtime=1\n2", "endtime=x", "sw1\nstop", "kill -9 1"} {
		_, err := ParseSwitch(text)
		must.Error(t, err, must.Sprintf("%q", text))
	}
	must.True(t, mustSwitch(t, "sw1").Dumps && mustSwitch(t, "sw1").Terminates)
	must.True(t, mustSwitch(t, "sw3").Dumps && !mustSwitch(t, "sw3").Terminates)
	must.True(t, !mustSwitch(t, "stop").Dumps && mustSwitch(t, "stop").Terminates)
}

func FuzzParseSwitch(f *testing.F) {
	for _, s := range []string{"sw1", "SW3.", "stop", "endtime=1e-3", "endtime=", "\n"} {
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
