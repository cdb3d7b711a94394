// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"io/fs"
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

func TestSettings_readBackByAnotherProcessWhileThePluginRuns(t *testing.T) {
	s := open(t)
	_, err := s.Settings()
	must.ErrorIs(t, err, fs.ErrNotExist)
	want := Settings{Version: 1, SMT: "share", Layout: "scatter", Usable: "0-3", NomadUsable: "0-7"}
	must.NoError(t, s.WriteSettings(Settings{SMT: "isolate"}))
	must.NoError(t, s.WriteSettings(want))
	must.Eq(t, "-rw-------", mode(t, s.settingsPath()))
	reader, err := OpenReadOnly(s.Dir())
	must.NoError(t, err)
	got, err := reader.Settings()
	must.NoError(t, err)
	must.Eq(t, want, got)
	records, err := s.Records()
	must.NoError(t, err)
	must.SliceEmpty(t, records)
}

func TestSettings_refusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"nothing": {"", "unexpected end"},
		"garbage": {"smt", "invalid character"},
		"newer":   {`{"version":2}`, "version 2 is not known"},
		"none":    {`{}`, "version 0 is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			must.NoError(t, os.WriteFile(s.settingsPath(), []byte(c.content), 0o600))
			_, err := s.Settings()
			must.ErrorContains(t, err, c.want)
		})
	}
}
