// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func TestDecide_aLicenceThatIsLost(t *testing.T) {
	const (
		gone  = " License server lic9.example:1055 has no answer: connection to the server was lost\n"
		back  = " License: connection restored\n"
		told  = "\n *** Error 70099 (OTH+99)\n     the license is no longer valid, lost the server\n\n"
		other = "\n *** Error 40509 (SOL+509)\n     negative volume\n\n"
	)
	for name, c := range map[string]struct {
		text string
		exit Exit
		want Kind
		says string
	}{
		"lost, and an exit code":             {gone, Exit{Known: true, Code: 1}, LicenceError, "the licence was lost while the run computed: License server"},
		"lost, and nobody saw the end":       {gone, Exit{}, LicenceError, "lost"},
		"lost, and it aborts itself":         {gone, Exit{Known: true, Signal: 6}, LicenceError, "lost"},
		"lost, and the launcher kills":       {gone + hydra("9", "Killed (signal 9)"), Exit{Known: true, Code: 9}, LicenceError, "lost"},
		"an error that says it":              {told, Exit{Known: true, Code: 1}, LicenceError, "*** Error 70099"},
		"lost, and somebody kills it":        {gone, Exit{Known: true, Signal: 9}, Killed, "signal 9"},
		"lost, and the batch system":         {gone + "=>> PBS: job killed: walltime 9 exceeded limit 8\n", Exit{Known: true, Code: 1}, Killed, "walltime"},
		"lost and back, then an exit code":   {gone + back, Exit{Known: true, Code: 1}, Failed, "exit code 1"},
		"lost, then an error of its own":     {gone + other, Exit{Known: true, Code: 1}, Failed, "40509"},
		"no line about a loss":               {" the license agreement has no server\n", Exit{Known: true, Code: 1}, Failed, "exit code 1"},
		"a loss of something else":           {" connection to the fluid solver was lost\n", Exit{Known: true, Code: 1}, Failed, "exit code 1"},
		"it is not restored":                 {gone + " License: connection is not restored\n", Exit{Known: true, Code: 1}, LicenceError, "lost"},
		"lost, and it goes on to an own end": {gone + "\n E r r o r   t e r m i n a t i o n\n", Exit{Known: true}, LicenceError, "lost"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Decide(Combine([]Source{read(lsdyna.KindStdout, string(fixture(t, "cut.stdout"))+"\n"+c.text)}), c.exit)
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.says)
			must.StrNotContains(t, o.Reason, "lic9.example")
		})
	}
	f := whole(append(fixture(t, "completed-smp.stdout"), "\n"+gone...))
	must.Eq(t, Completed, verdictOn(f, Exit{Known: true}))
}
