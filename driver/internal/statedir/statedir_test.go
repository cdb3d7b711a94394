// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package statedir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A record goes only when it is old and its allocation is gone: a run of many
// weeks may have ended while nobody watched, and Nomad will ask for it.
func TestRemoveStale(t *testing.T) {
	there, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	for name, c := range map[string]struct {
		allocDir string
		age      time.Duration
		kept     bool
	}{
		"old, allocation gone":    {gone, 2 * staleAfter, false},
		"old, allocation there":   {there, 2 * staleAfter, true},
		"young, allocation gone":  {gone, time.Hour, true},
		"old, allocation unknown": {"", 2 * staleAfter, true},
		"the start failed":        {there, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			store, err := state.Open(dir)
			must.NoError(t, err)
			defer store.Close()
			record, err := store.Create(state.ID{Alloc: "a", Task: "t", Invocation: "i"})
			must.NoError(t, err)
			defer record.Unlock()
			must.NoError(t, record.WriteDetails(&state.Details{AllocDir: c.allocDir, StartFailed: name == "the start failed", StartedAt: time.Now().Add(-c.age)}))
			RemoveStale(t.Context(), []*state.Record{record}, hclog.NewNullLogger())
			_, err = os.Stat(record.Dir)
			must.Eq(t, c.kept, err == nil)
		})
	}
}
