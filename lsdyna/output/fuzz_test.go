// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// FuzzSnapshot checks that no two outputs of one run, whatever is in them, make
// a success that neither of them holds, or a snapshot that cannot be shown.
func FuzzSnapshot(f *testing.F) {
	for _, data := range fixtureBytes(f) {
		f.Add(data[max(0, len(data)-1024):], data[:min(len(data), 1024)], true)
	}
	f.Fuzz(func(t *testing.T, stdout, messag []byte, known bool) {
		first, second := whole(stdout), whole(messag)
		all := []Source{{Name: "messag", Kind: lsdyna.KindMessag, Facts: second}, {Name: "stdout", Kind: lsdyna.KindStdout, Facts: first}}
		s := Combine(all)
		must.True(t, s.Errors >= 0 && s.Warnings >= 0 && s.Remaining.Low >= 0 && s.SwitchDelay >= 0 && s.Elapsed >= 0)
		must.True(t, len(s.Dumps) <= maxDumps && len(s.Sources) >= 1)
		o := Decide(s, Exit{Known: known})
		must.False(t, strings.ContainsAny(o.Reason, "\n\r\x00"))
		if o.Success() {
			must.True(t, first.Banner == NormalBanner || second.Banner == NormalBanner)
			must.True(t, first.Banner != ErrorBanner && second.Banner != ErrorBanner || len(s.Sources) == 1)
		}
		_, err := json.Marshal(NewReport(s, Exit{Running: true}))
		must.NoError(t, err)
	})
}
