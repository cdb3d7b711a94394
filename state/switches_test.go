// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestSwitches_RoundTrip(t *testing.T) {
	r, err := open(t).Create(someID)
	must.NoError(t, err)
	t.Cleanup(r.Unlock)
	_, err = r.ReadSwitches()
	must.ErrorIs(t, err, fs.ErrNotExist)

	want := Switches{Version: SwitchesVersion, Checkpoints: 3, Waiting: []Switch{
		{Name: "sw3.", Asked: time.Now().UTC().Round(0), Checkpoint: true, Step: SwitchSent, Before: json.RawMessage(`{"dump":null}`)},
		{Name: "swz.", Asked: time.Now().UTC().Round(0)},
	}}
	must.NoError(t, r.WriteSwitches(want))
	got, err := r.ReadSwitches()
	must.NoError(t, err)
	must.Eq(t, want, got)

	for name, content := range map[string]string{"not valid": "{", "newer": `{"version":99}`} {
		must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "switches.json"), []byte(content), 0o600))
		_, err = r.ReadSwitches()
		must.Error(t, err, must.Sprint(name))
	}
}
