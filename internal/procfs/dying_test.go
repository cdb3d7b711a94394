// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play a process whose first thread ends before others.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "headless" {
		headless()
	}
	os.Exit(m.Run())
}

func init() {
	if len(os.Args) > 1 && os.Args[1] == "headless" {
		runtime.LockOSThread() // main has the first thread then
	}
}

// headless ends the first thread, and runs on without it until its input ends.
func headless() {
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	fmt.Println("ready")
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A thread as the kernel shows it.
type thread struct {
	state   string
	flags   int
	pending string // "": no status file
}

func (th thread) write(t *testing.T, dir string, pid int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (x) %s 1 7 7 0 -1 %d 1 1 1 1 1 1 1 1 20 0 2 0 5 1000 1\n", pid, th.state, th.flags)
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
		t.Fatal(err)
	}
	if th.pending == "" {
		return
	}
	status := "Name:\tx\nThreads:\t2\nSigPnd:\t" + th.pending + "\nShdPnd:\t0000000000000100\nSigBlk:\t0000000000000100\n"
	if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDying(t *testing.T) {
	const none, kill, term = "0000000000000000", "0000000000004100", "0000000000004000"
	over, exits := thread{"Z", 0x40004c, none}, thread{"D", 0x400004, none}
	killed, waits := thread{"D", 0x400040, kill}, thread{"D", 0x400040, none}
	for name, c := range map[string]struct {
		threads []thread // the first is the leader
		want    bool
	}{
		"killed, and waits":                  {[]thread{killed}, true},
		"killed, and all wait":               {[]thread{killed, killed}, true},
		"the leader is over":                 {[]thread{over, killed}, true},
		"one is exiting":                     {[]thread{over, exits}, true},
		"over":                               {[]thread{over}, true},
		"only waits":                         {[]thread{waits}, false},
		"one runs on without its leader":     {[]thread{over, waits}, false},
		"one of three is not killed":         {[]thread{killed, waits, killed}, false},
		"another signal":                     {[]thread{{"S", 0x400040, term}}, false},
		"nothing tells what is pending":      {[]thread{{"S", 0x400040, "x"}}, false},
		"a thread of which nothing is known": {[]thread{killed, {"DD", 0, kill}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "sys/kernel/random"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "sys/kernel/random/boot_id"), []byte("b\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i, th := range c.threads {
				th.write(t, filepath.Join(root, "7/task", strconv.Itoa(7+i)), 7+i)
			}
			c.threads[0].write(t, filepath.Join(root, "7"), 7)
			if got := (Identity{PID: 7, StartTicks: 5, BootID: "b"}).Dying(root); got != c.want {
				t.Errorf("dying %v", got)
			}
			for _, other := range []Identity{
				{PID: 7, StartTicks: 6, BootID: "b"}, {PID: 7, StartTicks: 5, BootID: "c"}, {PID: 8, StartTicks: 5, BootID: "b"}, {PID: 7},
			} {
				if other.Dying(root) {
					t.Errorf("%+v is dying", other)
				}
			}
		})
	}
}

// A process that runs on without its first thread looks like a zombie, and is none.
func TestDying_NotWithoutItsFirstThread(t *testing.T) {
	cmd := exec.Command(os.Args[0], "headless")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	boot, err := BootID(Root)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s, err := ReadStat(Root, cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		id := Identity{PID: cmd.Process.Pid, StartTicks: s.StartTicks, BootID: boot}
		if id.Dying(Root) {
			t.Fatal("dying")
		}
		if s.Ended() && !s.Over() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("its first thread does not end: %+v", s)
		}
	}
}

func TestFlockHolders(t *testing.T) {
	root := t.TempDir()
	locks := "1: FLOCK  ADVISORY  WRITE 12 08:01:131 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 13 08:01:131 0 EOF\n" +
		"2: POSIX  ADVISORY  WRITE 14 08:01:131 0 EOF\n3: FLOCK  ADVISORY  READ 15 08:01:1131 0 EOF\n4: FLOCK  ADVISORY  WRITE 16 00:2f:131 0 EOF\n5: FLOCK\n"
	if err := os.WriteFile(filepath.Join(root, "locks"), []byte(locks), 0o600); err != nil {
		t.Fatal(err)
	}
	if pids, err := FlockHolders(root, 131); err != nil || !slices.Equal(pids, []int{12, 16}) {
		t.Errorf("%v, %v", pids, err)
	}

	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if pids, err := FlockHolders(Root, st.Ino); err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("this process holds a lock, and %v, %v", pids, err)
	}
}
