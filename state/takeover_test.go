// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// That a process that is really dying is succeeded is shown by
// TestTakeOver_FromAProcessThatCannotEnd of e2e/hung.

func TestTakeOver_NotFromAProcessThatMayRun(t *testing.T) {
	s := open(t)
	_, err := TakeOver(s.Dir(), thisHolder())
	must.ErrorIs(t, err, ErrInUse)
	_, err = TakeOver(s.Dir(), Holder{})
	must.ErrorIs(t, err, ErrInUse)
	must.NoError(t, s.Close())
	again, err := TakeOver(s.Dir(), Holder{}) // nobody has it
	must.NoError(t, err)
	must.NoError(t, again.Close())
}

// dyingHolder is a holder of a lock that a tree of files for /proc calls dying.
func dyingHolder(t *testing.T, path string) (proc string, h Holder) {
	t.Helper()
	h = Holder{PID: 7, Start: 5, ParentPID: 1, ParentStart: 1, BootID: "b"}
	proc = t.TempDir()
	put := func(name, text string) {
		name = filepath.Join(proc, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	var st syscall.Stat_t
	must.NoError(t, syscall.Stat(path, &st))
	put("locks", fmt.Sprintf("1: FLOCK  ADVISORY  WRITE 7 08:01:%d 0 EOF\n", st.Ino))
	put("sys/kernel/random/boot_id", "b\n")
	stat := "7 (x) D 1 7 7 0 -1 64 1 1 1 1 1 1 1 1 20 0 1 0 5 1000 1\n"
	put("7/stat", stat)
	put("7/task/7/stat", stat)
	put("7/task/7/status", "SigPnd:\t0000000000000100\n")
	must.NoError(t, os.WriteFile(path, []byte(`{"pid":7,"start_time":5,"parent_pid":1,"parent_start_time":1,"boot_id":"b"}`), 0o600))
	return proc, h
}

func TestProvenDying(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, path, proc string, h *Holder)
		want   string
	}{
		"all of it":                   {func(*testing.T, string, string, *Holder) {}, ""},
		"somebody else has it by now": {func(_ *testing.T, _, _ string, h *Holder) { h.Start++ }, "another process has it by now"},
		"the file says what was": {func(t *testing.T, _, proc string, _ *Holder) {
			must.NoError(t, os.WriteFile(filepath.Join(proc, "locks"), []byte("1: FLOCK  ADVISORY  WRITE 8 08:01:1 0 EOF\n"), 0o600))
		}, "does not hold its lock"},
		"nothing tells who has it": {func(t *testing.T, _, proc string, _ *Holder) {
			must.NoError(t, os.Remove(filepath.Join(proc, "locks")))
		}, "read locks"},
		"it may run": {func(t *testing.T, _, proc string, _ *Holder) {
			must.NoError(t, os.WriteFile(filepath.Join(proc, "7/task/7/status"), []byte("SigPnd:\t0000000000000000\n"), 0o600))
		}, "not proven to be dying"},
		"there is no lock": {func(t *testing.T, path, _ string, _ *Holder) { must.NoError(t, os.Remove(path)) }, "another process has it by now"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), pluginLock)
			must.NoError(t, os.WriteFile(path, nil, 0o600))
			proc, h := dyingHolder(t, path)
			c.change(t, path, proc, &h)
			if err := provenDying(proc, path, h); c.want == "" {
				must.NoError(t, err)
			} else {
				must.ErrorContains(t, err, c.want)
			}
		})
	}
}

// One at a time may take the lock or replace it, and where nobody can tell who does,
// nobody replaces it.
func TestOpen_WaitsForNoTurn(t *testing.T) {
	s := open(t)
	must.NoError(t, s.Close())
	other, err := takeTurn(s.Dir())
	must.NoError(t, err)
	_, err = Open(s.Dir())
	must.ErrorIs(t, err, ErrInUse)
	other.end()
	again, err := Open(s.Dir())
	must.NoError(t, err)
	must.NoError(t, again.Close())
}

func TestOpen_OneOfMany(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var won []*Store
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s, err := TakeOver(dir, Holder{PID: 1, Start: 1, BootID: "b"})
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, s)
		})
	}
	all.Wait()
	must.LessEq(t, 1, len(won))
	for _, s := range won {
		must.NoError(t, s.Close())
	}
	held, err := durable.Held(filepath.Join(dir, pluginLock))
	must.NoError(t, err)
	must.False(t, held)
}
