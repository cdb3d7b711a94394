// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package witness

import (
	"context"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

func TestWitness_TellsExitCodesAndSignals(t *testing.T) {
	w, err := New(func(_ proc.Process, env []string) bool { return slices.Contains(env, "WITNESS_TEST=yes") })
	if err != nil {
		t.Skipf("the kernel does not tell: %v", err)
	}
	t.Cleanup(func() { must.NoError(t, w.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := func(what string, enough func([]Life) bool) {
		must.NoError(t, cluster.Poll(ctx, what, func() (bool, string, error) {
			lives, gaps, err := w.Lives()
			if gaps > 0 {
				t.Skip("messages were lost")
			}
			return enough(lives), fmt.Sprintf("%d lives", len(lives)), err
		}))
	}
	want := map[int]syscall.WaitStatus{}
	dir := t.TempDir()
	folder, err := FolderOf(dir)
	must.NoError(t, err)
	for i, script := range []string{"exit 0", "exit 23", "kill -KILL $$"} {
		cmd := exec.Command("sh", "-c", "read x; "+script)
		cmd.Env = append(cmd.Environ(), "WITNESS_TEST=yes")
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		must.NoError(t, err)
		must.NoError(t, cmd.Start())
		seen("its exec", func(lives []Life) bool { return len(lives) == i+1 })
		must.NoError(t, in.Close()) // read ends
		_ = cmd.Wait()              // as it was told to
		want[cmd.Process.Pid] = cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
	seen("three ends", func(lives []Life) bool {
		for _, l := range lives {
			if !l.Known {
				return false
			}
			must.Eq(t, want[l.PID], l.Status)
			must.False(t, l.Exit.Before(l.Exec))
			must.Eq(t, folder, l.Folder)
		}
		return len(lives) == 3
	})
}

func TestLife_Together(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(1_800_000_000+int64(seconds), 0) }
	lived := func(from, to int) *Life { return &Life{Exec: at(from), Exit: at(to), Ended: true} }
	for _, c := range []struct {
		name     string
		one, two *Life
		want     bool
	}{
		{"one after the other", lived(1, 2), lived(3, 4), false},
		{"one begins when the other ends", lived(1, 2), lived(2, 4), false},
		{"one begins before the other ends", lived(1, 3), lived(2, 4), true},
		{"one within the other", lived(1, 4), lived(2, 3), true},
		{"one lives on", &Life{Exec: at(1)}, lived(2, 3), true},
		{"one begins after the other and lives on", lived(1, 2), &Life{Exec: at(3)}, false},
		{"both live", &Life{Exec: at(1)}, &Life{Exec: at(2)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			must.Eq(t, c.want, c.one.Together(c.two))
			must.Eq(t, c.want, c.two.Together(c.one))
		})
	}
}

// message makes one of the connector's.
func message(what uint32, fields ...uint32) []byte {
	order := binary.NativeEndian
	msg := make([]byte, nlHeader+cnHeader+eventHeader)
	order.PutUint32(msg[nlHeader+cnHeader:], what)
	order.PutUint64(msg[nlHeader+cnHeader+8:], 7)
	for _, f := range fields {
		msg = order.AppendUint32(msg, f)
	}
	return msg
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		msg  []byte
		want event
		ok   bool
	}{
		{"exec", message(eventExec, 11, 10), event{exec: true, pid: 10, at: 7}, true},
		{"end of a process", message(eventExit, 10, 10, 9, 17), event{pid: 10, status: 9, at: 7}, true},
		{"end of a thread", message(eventExit, 11, 10, 0, 17), event{}, false},
		{"fork", message(1, 1, 1, 2, 2), event{}, false},
		{"cut short", message(eventExit, 10), event{}, false},
		{"empty", nil, event{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parse(c.msg)
			must.Eq(t, c.ok, ok)
			must.Eq(t, c.want, got)
		})
	}
}
