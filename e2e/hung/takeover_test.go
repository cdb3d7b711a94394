// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hung

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// holderRole is the first argument of the test binary as a process that holds a
// state_dir and looks at a file all the time.
const holderRole = "hold-state"

func holdState(dir, file string) {
	if _, err := state.Open(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for {
		_, _ = os.ReadFile(file) // it need not be there
	}
}

// A plugin of which a thread waits in a request that its file server has read cannot
// end, whoever kills it, and its lock stays. One other takes state_dir over, once it
// is killed and not before.
func TestTakeOver_FromAProcessThatCannotEnd(t *testing.T) {
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	base := t.TempDir()
	dir, backing, path := filepath.Join(base, "state"), filepath.Join(base, "backing"), filepath.Join(base, "run")
	must.NoError(t, os.Mkdir(backing, 0o700))
	must.NoError(t, os.Mkdir(path, 0o700))
	mount, err := hangfs.New(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, mount.Close()) })
	plugin := exec.Command(os.Args[0], holderRole, dir, filepath.Join(path, "file"))
	out, err := plugin.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, plugin.Start())
	t.Cleanup(func() {
		_ = plugin.Process.Kill()
		must.NoError(t, mount.Resume())
		_ = plugin.Wait() // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must.NoError(t, err)
	must.Eq(t, "ready\n", line)

	must.NoError(t, mount.HangWith(plugin.Process.Pid))
	var used *state.InUseError
	_, err = state.Open(dir)
	must.True(t, errors.As(err, &used))
	must.Eq(t, plugin.Process.Pid, used.Holder.PID)
	must.False(t, used.Holder.Process().Dying(procfs.Root))
	_, err = state.TakeOver(dir, used.Holder)
	must.ErrorIs(t, err, state.ErrInUse)

	must.NoError(t, plugin.Process.Kill())
	for end := time.Now().Add(patience); !used.Holder.Process().Dying(procfs.Root); time.Sleep(time.Millisecond) {
		must.True(t, time.Now().Before(end))
	}
	_, err = state.Open(dir)
	must.ErrorIs(t, err, state.ErrInUse)

	winner := oneOfMany(t, dir, used.Holder)
	must.NoError(t, mount.Resume())
	_ = plugin.Wait() // it was killed
	_, err = state.Open(dir)
	must.ErrorIs(t, err, state.ErrInUse)
	must.True(t, errors.As(err, &used))
	must.Eq(t, os.Getpid(), used.Holder.PID)
	must.NoError(t, winner.Close())
	after, err := state.Open(dir)
	must.NoError(t, err)
	must.NoError(t, after.Close())
}

// oneOfMany takes a state_dir over many times at once; one succeeds.
func oneOfMany(t *testing.T, dir string, from state.Holder) *state.Store {
	t.Helper()
	var mu sync.Mutex
	var won []*state.Store
	for end := time.Now().Add(patience); len(won) == 0; {
		must.True(t, time.Now().Before(end))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				s, err := state.TakeOver(dir, from)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, s)
			})
		}
		all.Wait()
	}
	must.Len(t, 1, won)
	return won[0]
}
