// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hung

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// program is the name under which the test binary is the driver's program.
const program = "nomad-driver-lsdyna"

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Args[0] = program
	return cmd
}

// servedFolder is a run folder on a file system that can hang.
func servedFolder(t *testing.T) (mount *hangfs.Mount, folder string) {
	t.Helper()
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	backing, path := t.TempDir(), t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(backing, "folder"), 0o755))
	const stdout = "     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"
	must.NoError(t, os.WriteFile(filepath.Join(backing, "folder", "stdout"), []byte(stdout), 0o644))
	mount, err := hangfs.New(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, mount.Close()) })
	return mount, filepath.Join(path, "folder")
}

func TestInspect_ofAHungFolderIsAnErrorInTime(t *testing.T) {
	mount, folder := servedFolder(t)
	must.NoError(t, mount.Hang())
	began := time.Now()
	out, err := command(t, "inspect", folder, filepath.Join(folder, "stdout")).CombinedOutput()
	must.Error(t, err)
	must.Less(t, 15*time.Second, time.Since(began)) // one waits for 8 s, and none for the other
	must.Eq(t, 2, strings.Count(string(out), "the run folder does not answer"), must.Sprint(string(out)))
}

// A process with a thread in a request that its file server has read cannot end, not
// even by SIGKILL. The command does.
func TestStatus_endsThoughItsReaderCannot(t *testing.T) {
	mount, folder := servedFolder(t)
	dir := filepath.Join(t.TempDir(), "state")
	must.NoError(t, os.Mkdir(dir, 0o700))
	store, err := state.Open(dir)
	must.NoError(t, err)
	defer store.Close()
	record, err := store.Create(state.ID{Alloc: "a", Task: "lsdyna", Invocation: "1"})
	must.NoError(t, err)
	defer record.Unlock()
	must.NoError(t, record.WriteDetails(&state.Details{
		JobID: "served", RunBase: filepath.Dir(folder), RunFolder: filepath.Base(folder), Stdout: "stdout",
	}))

	cmd := command(t, "status", "-watch", "-json", "-state-dir", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	frames := bufio.NewScanner(out)
	frames.Buffer(nil, 1<<20)
	untilFrame := func(with string) {
		t.Helper()
		for frames.Scan() {
			if strings.Contains(frames.Text(), with) {
				return
			}
		}
		t.Fatalf("no frame with %s: %v", with, frames.Err())
	}
	untilFrame(`"cycle":100`)
	exe, err := os.Executable()
	must.NoError(t, err)
	readers, err := proc.Children(cmd.Process.Pid, exe)
	must.NoError(t, err)
	must.Len(t, 1, readers)
	reader := readers[0].PID
	must.NoError(t, mount.HangWith(reader))
	untilFrame("does not answer")

	began := time.Now()
	must.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	for frames.Scan() { // to the end of its output
	}
	_ = cmd.Wait()
	must.Less(t, patience, time.Since(began))
	must.True(t, lives(reader), must.Sprint("its reader could end: nothing was tested"))

	must.NoError(t, mount.Resume())
	for end := time.Now().Add(patience); lives(reader); time.Sleep(5 * time.Millisecond) {
		must.True(t, time.Now().Before(end), must.Sprint("its reader lives"))
	}
}

// lives reports whether a process has not ended: one with a thread in the kernel is a
// zombie that has not.
func lives(pid int) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false
	}
	p, err := proc.Read(pid)
	return err == nil && (p.Alive() || len(threads) > 1)
}
