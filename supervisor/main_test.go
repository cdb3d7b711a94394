// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// The test binary plays every part: as itself it is the plugin; package
// shim's init makes it a supervisor or a stage; and with one of these words
// as its first argument it is a solver that needs more than a shell, or a plugin
// that a test may kill.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if play, ok := parts[os.Args[1]]; ok {
			os.Exit(play(os.Args[2:]))
		}
	}
	os.Exit(inOwnFolder(m.Run))
}

// inOwnFolder runs tests in a folder for temporary files of this process's own, and
// fails where they leave a supervisor behind. One test runs others in a process beside.
func inOwnFolder(run func() int) int {
	dir, err := os.MkdirTemp("", "supervisor-test-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	code := run()
	left := supervisors()
	// One that has told how its solver ended is about to end, too.
	for deadline := time.Now().Add(testPatience); len(left) > 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left = supervisors()
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "tests have left supervisors behind, of these records:", slices.Collect(maps.Values(left)))
		return 1
	}
	return code
}

// supervisors returns the record of each supervisor of this process's tests, by its
// pid. One that has ended has no arguments any more.
func supervisors() map[int]string {
	found := map[int]string{}
	pids, _ := procfs.PIDs(procfs.Root)
	for _, pid := range pids {
		if args := arguments(pid); len(args) == 3 && args[1] == shim.SuperviseCommand && strings.HasPrefix(args[2], os.TempDir()+"/") {
			found[pid] = args[2]
		}
	}
	return found
}

func arguments(pid int) []string {
	data, err := durable.ReadFile(filepath.Join(procfs.Root, strconv.Itoa(pid), "cmdline"), 1<<20)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

var parts = map[string]func(args []string) int{
	"solver-threads": startThreads,
	"solver-eat":     eatMemory,
	"solver-talk":    talk,
	"plugin":         playPlugin,
	"old-kernel":     onOldKernel,
}

// onOldKernel runs tests of this program with no system call that Linux 4.18 does not
// have.
func onOldKernel(args []string) int {
	answer, _ := strconv.Atoi(args[0])
	err := kerneltest.Exec(unix.Errno(answer), "/proc/self/exe", append(os.Args[:1], args[1:]...), os.Environ())
	fmt.Println(err)
	return 1
}

// startThreads keeps starting threads, each from the last, and says when the
// first few run.
func startThreads([]string) int {
	fmt.Println("threads")
	for ; ; time.Sleep(2 * time.Millisecond) {
		begun := make(chan bool)
		go func() {
			runtime.LockOSThread() // ends with its goroutine
			close(begun)
			time.Sleep(30 * time.Millisecond) //nolint:forbidigo // how long a thread lives
		}()
		<-begun
	}
}

// eatMemory takes more memory than it is told that there is.
func eatMemory(args []string) int {
	mib, _ := strconv.Atoi(args[0])
	var held [][]byte
	for range mib {
		held = append(held, bytes.Repeat([]byte{1}, 1<<20))
	}
	return len(held) & 1 << 8 // 0, but not for the compiler
}

// talk writes so many numbered lines.
func talk(args []string) int {
	lines, _ := strconv.Atoi(args[0])
	for n := range lines {
		fmt.Fprintf(os.Stdout, "line %09d\n", n)
	}
	return 0
}

// playPlugin launches the task of a record directory, and stops for ever at
// the point it is told, for somebody to kill it there.
func playPlugin(args []string) int {
	dir, until := args[0], args[1]
	lock, err := lockRecord(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l := Launch{Dir: dir, Lock: lock, Env: os.Environ()}
	if until == "ready" {
		l.Ready = func(pid int) error {
			fmt.Println("ready", pid)
			select {}
		}
	}
	p, err := Start(context.Background(), l)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	r, _ := p.Record()
	fmt.Println("started", r.PID)
	select {}
}

// lockRecord takes the lock that Launch wants.
func lockRecord(dir string) (*os.File, error) {
	return durable.Lock(lockPath(dir), os.O_RDWR|os.O_CREATE)
}

// bornWithTHP is what this process found before Start changed it.
var bornWithTHP = func() string {
	about, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(about), "THP_enabled:\t")
	return rest[:min(1, len(rest))]
}()

// setOOMScore gives this process, and so what it starts, a score adjustment as
// systemd may have given it to Nomad; lowering it needs a capability.
func setOOMScore(t *testing.T) {
	t.Helper()
	const path = "/proc/self/oom_score_adj"
	old := read(t, path)
	if os.WriteFile(path, []byte("-300"), 0) != nil {
		if err := os.WriteFile(path, []byte("300"), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.WriteFile(path, []byte(strings.TrimSpace(old)), 0) })
}
