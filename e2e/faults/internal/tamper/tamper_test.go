// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package tamper

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// What is taken from a run folder is as it was when it is put back.
func TestDoubts_ArePutBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, take := range map[string]Doubt{
		"away": Away(Record), "unreadable": Unreadable(Record), "damaged": DamageRecord, "replaced": ReplaceRecord,
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "run")
			path := filepath.Join(folder, Record)
			must.NoError(t, os.Mkdir(folder, 0o755))
			must.NoError(t, os.WriteFile(path, []byte(`{"identity":{}}`), 0o644))
			before, err := os.Stat(path)
			must.NoError(t, err)
			if os.Geteuid() != 0 && name == "replaced" {
				t.Skip("gives files away")
			}
			_, putBack, err := take(folder, rng)
			must.NoError(t, err)
			must.NoError(t, putBack())
			after, err := os.Stat(path)
			must.NoError(t, err)
			must.True(t, os.SameFile(before, after))
			must.Eq(t, before.Mode(), after.Mode())
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			must.Eq(t, `{"identity":{}}`, string(data))
			left, err := filepath.Glob(filepath.Join(filepath.Dir(folder), "*"))
			must.NoError(t, err)
			must.Len(t, 1, left)
		})
	}
}

func TestCutBehind_LeavesTheLineOfTheDump(t *testing.T) {
	folder := t.TempDir()
	const line = " 276 t 2.3978E-02 dt 5.57E-05 write d3dump01 file\n"
	for _, name := range []string{"stdout", "messag"} {
		must.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("before\n"+line+"behind\n"), 0o644))
	}
	must.NoError(t, CutBehind(folder, "d3dump01"))
	for _, name := range []string{"stdout", "messag"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		must.NoError(t, err)
		must.Eq(t, "before\n"+line, string(data))
	}
	must.Error(t, CutBehind(folder, "d3dump02"))
}
