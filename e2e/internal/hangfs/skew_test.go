// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestMount_HasAClockOfItsOwn(t *testing.T) {
	m := mounted(t)
	of := func(path string) time.Time {
		t.Helper()
		info, err := os.Stat(path)
		must.NoError(t, err)
		return info.ModTime()
	}
	name := filepath.Join(m.Path, "file")
	must.NoError(t, os.WriteFile(name, []byte("text"), 0o644))
	was := of(name)
	for _, by := range []time.Duration{-time.Hour, 3 * time.Second, 0} {
		must.NoError(t, m.Skew(by))
		must.Eq(t, was.Add(by), of(name))
		file, err := os.Open(name)
		must.NoError(t, err)
		info, err := file.Stat()
		must.NoError(t, err)
		must.Eq(t, was.Add(by), info.ModTime())
		must.NoError(t, file.Close())

		fresh := filepath.Join(m.Path, "fresh"+by.String())
		must.NoError(t, os.WriteFile(fresh, nil, 0o644))
		must.Between(t, -time.Minute, time.Since(of(fresh))+by, time.Minute)
		set := time.Unix(1_800_000_000, 0)
		must.NoError(t, os.Chtimes(fresh, set, set))
		must.Eq(t, set, of(fresh))
		must.NoError(t, os.Chmod(fresh, 0o600))
		must.Eq(t, set, of(fresh))
	}
}
