// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestUnclaimed_IsWhatAPluginSaysThatLives(t *testing.T) {
	r, err := open(t).Create(someID)
	must.NoError(t, err)
	t.Cleanup(r.Unlock)
	is := func() bool { _, is := r.IsUnclaimed(); return is }
	must.False(t, is())
	must.NoError(t, r.Claimed())

	found := time.Now().Add(-time.Hour)
	must.NoError(t, r.WriteUnclaimed(found))
	since, unclaimed := r.IsUnclaimed()
	must.True(t, unclaimed)
	must.True(t, since.Equal(found))
	must.NoError(t, r.Claimed())
	must.False(t, is())

	gone := thisHolder()
	gone.Start++
	forgotten, err := json.Marshal(Unclaimed{Since: found, By: gone})
	must.NoError(t, err)
	for name, content := range map[string]string{"of a process that is gone": string(forgotten), "no holder": "{}", "not valid": "{"} {
		must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "unclaimed.json"), []byte(content), 0o600))
		must.False(t, is(), must.Sprint(name))
	}
}
