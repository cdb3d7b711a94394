// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// What is mended is as it was.
func TestSlips_AreMended(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("gives a folder away")
	}
	for _, s := range slips {
		if s.alive || s.name == "full" {
			continue // on a file system of their own
		}
		t.Run(s.name, func(t *testing.T) {
			c := &campaign{options: options{patience: time.Minute}, state: filepath.Join(t.TempDir(), "state")}
			must.NoError(t, os.Mkdir(c.state, 0o700))
			path := filepath.Join(c.state, "plugin.lock")
			must.NoError(t, os.WriteFile(path, nil, 0o600))
			look := func() (mode, uid uint32, free bool) {
				var st unix.Stat_t
				must.NoError(t, unix.Stat(c.state, &st))
				lock, err := os.Open(path)
				must.NoError(t, err)
				defer lock.Close()
				return st.Mode, st.Uid, unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
			}
			mode, uid, free := look()
			mend, err := s.do(t.Context(), c)
			must.NoError(t, err)
			slipMode, slipUID, slipFree := look()
			must.True(t, slipMode != mode || slipUID != uid || slipFree != free)
			must.NoError(t, mend())
			mendedMode, mendedUID, mendedFree := look()
			must.Eq(t, []any{mode, uid, free}, []any{mendedMode, mendedUID, mendedFree})
		})
	}
}
