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

func TestStop_RoundTrip(t *testing.T) {
	r, err := open(t).Create(someID)
	must.NoError(t, err)
	t.Cleanup(r.Unlock)
	_, err = r.ReadStop()
	must.ErrorIs(t, err, fs.ErrNotExist)

	began := time.Now().UTC().Round(0)
	want := Stop{Version: StopVersion, Began: began, Deadline: began.Add(time.Minute), Signal: "SIGTERM", LastDump: json.RawMessage(`{"name":"d3dump01"}`)}
	must.NoError(t, r.WriteStop(want))
	got, err := r.ReadStop()
	must.NoError(t, err)
	must.Eq(t, want, got)

	for name, content := range map[string]string{"not valid": "{", "newer": `{"version":99}`} {
		must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "stop.json"), []byte(content), 0o600))
		_, err = r.ReadStop()
		must.Error(t, err, must.Sprint(name))
	}
}
