// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rawcall

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fail is a call that fails, succeed one that does not.
func fail(l *List) *Step    { return l.Call("fail", syscall.SYS_CLOSE, ^uintptr(0)) }
func succeed(l *List) *Step { return l.Call("succeed", syscall.SYS_GETPID) }

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		make func(l *List, dir string)
		want string
	}{
		"nothing":                {func(*List, string) {}, ""},
		"a call that fails":      {func(l *List, _ string) { succeed(l); fail(l); succeed(l) }, "fail: bad file descriptor"},
		"a call that may fail":   {func(l *List, _ string) { fail(l).MayFail(); succeed(l) }, ""},
		"what is done instead":   {func(l *List, _ string) { fail(l).MayFail(); fail(l).IfFailed() }, "fail: bad file descriptor"},
		"what need not be done":  {func(l *List, _ string) { succeed(l).MayFail(); fail(l).IfFailed() }, ""},
		"equal words":            {func(l *List, _ string) { l.Same("same", []uint32{1, 2}, []uint32{1, 2}) }, ""},
		"other words":            {func(l *List, _ string) { l.Same("same", []uint32{1, 2}, []uint32{2, 1}) }, "same: " + ErrDiffers.Error()},
		"fewer words":            {func(l *List, _ string) { l.Same("same", []uint32{1, 2}, []uint32{1}) }, "same: 2 and 1 words cannot be the same"},
		"words in another order": {func(l *List, _ string) { l.SameSet("set", []uint32{1, 2}, []uint32{2, 1}) }, ""},
		"a word too many":        {func(l *List, _ string) { l.SameSet("set", []uint32{1, 2, 2}, []uint32{2, 1, 3}) }, "set: " + ErrDiffers.Error()},
		"a word too few":         {func(l *List, _ string) { l.SameSet("set", []uint32{1, 2, 3}, []uint32{2, 1, 2}) }, "set: " + ErrDiffers.Error()},
		"a text of its own": {func(l *List, _ string) {
			fail(l).Explain(func(pid int, errno syscall.Errno) error { return fmt.Errorf("%d %w", pid, errno) })
		}, "0 bad file descriptor"},
		"a name that cannot be":    {func(l *List, _ string) { l.Call("open", syscall.SYS_OPENAT, CWD, l.String("a\x00b")) }, `"a\x00b": invalid argument`},
		"arguments that cannot be": {func(l *List, _ string) { l.Call("exec", syscall.SYS_EXECVE, 0, l.Strings([]string{"a\x00b"})) }, "invalid argument"},
		"one file":                 {func(l *List, dir string) { fstats(l, dir+"/a", dir+"/a") }, ""},
		"two files":                {func(l *List, dir string) { fstats(l, dir+"/a", dir+"/b") }, "file: " + ErrDiffers.Error()},
		"not a file":               {func(l *List, dir string) { fstats(l, dir, dir) }, "file: " + ErrDiffers.Error()},
		"no end of tries": {func(l *List, dir string) {
			l.MoveAside("aside", dir+"/none")
			succeed(l)
			fail(l).Except(syscall.EBADF, 0, 3)
		}, "fail: bad file descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"a", "b"} {
				must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
			}
			var l List
			c.make(&l, dir)
			err := l.Run()
			if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func fstats(l *List, first, second string) {
	var stats [2]*syscall.Stat_t
	for i, path := range []string{first, second} {
		var file Result
		stats[i] = new(syscall.Stat_t)
		l.Call("open", syscall.SYS_OPENAT, CWD, l.String(path), syscall.O_CLOEXEC).Into(&file)
		l.Call("stat", syscall.SYS_FSTAT, 0, Address(l, stats[i])).On(&file)
		l.Call("close", syscall.SYS_CLOSE).On(&file)
	}
	l.SameFile("file", stats[0], stats[1])
}

// An error that is expected has other steps follow.
func TestRun_goesOnElsewhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must(t, os.WriteFile("out", []byte("former"), 0o600))
	var l List
	path := l.String("out")
	create := l.Call("create", syscall.SYS_OPENAT, CWD, path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_CLOEXEC, 0o600)
	l.MoveAside("aside", "out")
	l.Call("create", syscall.SYS_OPENAT, CWD, path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_CLOEXEC, 0o600)
	create.Except(syscall.EEXIST, 1, 1)
	must(t, l.Run())
	if data, err := os.ReadFile("out.1"); err != nil || string(data) != "former" {
		t.Errorf("got %q, %v", data, err)
	}
}

// Whatever has the name, and whatever has the names behind it.
func TestMoveAside(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a file":          func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"a folder":        func(path string) error { return os.Mkdir(path, 0o700) },
		"a dangling link": func(path string) error { return os.Symlink("/nonexistent", path) },
		"a FIFO":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must(t, make("out"))
			for n := 1; n <= 11; n++ {
				must(t, make(fmt.Sprintf("out.%d", n)))
			}
			before, err := os.Lstat("out")
			must(t, err)
			var l List
			l.MoveAside("aside", "out")
			must(t, l.Run())
			if _, err := os.Lstat("out"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
			if after, err := os.Lstat("out.12"); err != nil || !os.SameFile(before, after) {
				t.Errorf("got %v, %v", after, err)
			}
		})
	}
	t.Run("a name that cannot be longer", func(t *testing.T) {
		t.Chdir(t.TempDir())
		name := strings.Repeat("n", 255)
		must(t, os.WriteFile(name, nil, 0o600))
		var l List
		l.MoveAside("aside", name)
		if err := l.Run(); err == nil || err.Error() != "aside: file name too long" {
			t.Errorf("got %v", err)
		}
	})
}

// wait returns how a child ended.
func wait(t *testing.T, pid int) (status syscall.WaitStatus) {
	t.Helper()
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
			must(t, err)
			return status
		}
	}
}

// forked starts a child whose standard output is the pipe that is returned.
func forked(t *testing.T, steps func(l *List)) (pid int, said *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { read.Close() })
	l := &List{}
	l.Call("redirect", syscall.SYS_DUP3, write.Fd(), 1)
	steps(l)
	c := Child{List: l, Cgroup: -1, Control: -1, Failure: make([]byte, NumberWidth)}
	pid, err = c.Start()
	must(t, err)
	must(t, write.Close())
	return pid, read
}

func execute(l *List, argv ...string) {
	l.Call("execute", syscall.SYS_EXECVE, l.String(argv[0]), l.Strings(argv), l.Strings(nil))
}

// The program finds no signal ignored or blocked, and this process goes on with its own.
func TestChild_executes(t *testing.T) {
	cat, err := exec.LookPath("cat")
	must(t, err)
	blocked := func() string { return line(t, "/proc/thread-self/status", "SigBlk") }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := blocked()
	pid, said := forked(t, func(l *List) { execute(l, cat, "/proc/self/status") })
	if after := blocked(); after != before {
		t.Errorf("signals blocked here: %s, before %s", after, before)
	}
	text := map[string]string{}
	for scan := bufio.NewScanner(said); scan.Scan(); {
		key, value, _ := strings.Cut(scan.Text(), ":")
		text[key] = strings.TrimSpace(value)
	}
	for key, want := range map[string]string{"Pid": fmt.Sprint(pid), "PPid": fmt.Sprint(os.Getpid()), "SigBlk": "0000000000000000", "SigIgn": "0000000000000000", "SigCgt": "0000000000000000"} {
		if text[key] != want {
			t.Errorf("%s is %q, want %q", key, text[key], want)
		}
	}
	if status := wait(t, pid); status.ExitStatus() != 0 {
		t.Errorf("ended with %v", status)
	}
}

func line(t *testing.T, path, key string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	_, rest, _ := strings.Cut(string(data), "\n"+key+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// A step that fails is told by its number, and the program is not executed.
func TestChild_tellsWhatFailed(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(pair[0])
	message := []byte("step           , error           .")
	l := &List{}
	for range 12 {
		succeed(l)
	}
	l.Call("enter", syscall.SYS_CHDIR, l.String("/nonexistent"))
	execute(l, "/bin/true")
	c := Child{List: l, Cgroup: -1, Control: pair[1], Failure: message, Step: len("step "), Errno: len(message) - len(".") - NumberWidth}
	pid, err := c.Start()
	must(t, err)
	must(t, syscall.Close(pair[1]))
	said := make([]byte, 100)
	n, err := syscall.Read(pair[0], said)
	must(t, err)
	if want := fmt.Sprintf("step %10d, error %10d.", 12, syscall.ENOENT); string(said[:n]) != want {
		t.Errorf("got %q, want %q", said[:n], want)
	}
	if status := wait(t, pid); status.ExitStatus() != 127 {
		t.Errorf("ended with %v", status)
	}
	if err := l.Explain(pid, 12, syscall.ENOENT); err.Error() != "enter: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if err := l.Explain(pid, 99, syscall.ENOENT); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}

// While the child waits a signal does what it does to any program; Go's runtime, which
// sends signals of its own, has no part in it.
func TestChild_isNoGoProgram(t *testing.T) {
	read, write, err := os.Pipe()
	must(t, err)
	defer write.Close()
	pid, _ := forked(t, func(l *List) { l.Call("read", syscall.SYS_READ, read.Fd(), l.Bytes(make([]byte, 1)), 1) })
	must(t, read.Close())
	for range 100 {
		must(t, syscall.Kill(pid, syscall.SIGURG))
	}
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	if status := wait(t, pid); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", status)
	}
}

// Every child comes to its end, whatever this process's threads and collector do at the
// time of the fork.
func TestChild_ofABusyProcess(t *testing.T) {
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			var held [][]byte
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if held = append(held, make([]byte, 10_000)); len(held) > 100 {
					held = nil
				}
				if n%100 == 0 {
					runtime.GC()
				}
			}
		})
	}
	var forks sync.WaitGroup
	for range 4 {
		forks.Go(func() {
			for range 50 {
				l := &List{}
				for range 20 {
					succeed(l)
				}
				l.Call("end", syscall.SYS_EXIT_GROUP, 7)
				c := Child{List: l, Cgroup: -1, Control: -1, Failure: make([]byte, NumberWidth)}
				pid, err := c.Start()
				if err != nil {
					t.Error(err)
					return
				}
				if status := wait(t, pid); status.ExitStatus() != 7 {
					t.Errorf("ended with %v", status)
				}
			}
		})
	}
	forks.Wait()
	close(done)
	busy.Wait()
}

// A child shows another word than this process does.
func TestChild_showsItsWord(t *testing.T) {
	arguments := func(pid any) []string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%v/cmdline", pid))
		must(t, err)
		return strings.Split(string(data), "\x00")
	}
	ready, write, err := os.Pipe()
	must(t, err)
	defer ready.Close()
	before := arguments("self")
	l := &List{}
	l.Call("tell", syscall.SYS_WRITE, write.Fd(), l.Bytes([]byte("x")), 1)
	l.Call("pause", syscall.SYS_PPOLL, 0, 0, 0, 0)
	first := os.Args[0]
	c := Child{List: l, Cgroup: -1, Control: -1, Failure: make([]byte, NumberWidth), Argument: ArgumentOf(first), Word: []byte(strings.Repeat("w", len(first)))}
	pid, err := c.Start()
	must(t, err)
	_, err = ready.Read(make([]byte, 1))
	must(t, err)
	if got := arguments(pid); got[0] != strings.Repeat("w", len(first)) {
		t.Errorf("it shows %q", got)
	}
	if after := arguments("self"); strings.Join(after, " ") != strings.Join(before, " ") || os.Args[0] != first {
		t.Errorf("this process shows %q, before %q", after, before)
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	wait(t, pid)
}

// What runs in a child calls nothing of Go's: a function that grows the stack may be told
// to give way to others, of which there are none, and waits for ever. So it is however
// the compiler is called.
func TestChild_callsNothingOfGos(t *testing.T) {
	for name, flags := range map[string][]string{"plain": nil, "under the race detector": {"-race"}, "for a debugger": {"-gcflags=-N -l"}} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "rawcall.test")
			build := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-c", "-o", binary}, flags...), ".")...)
			if name == "under the race detector" {
				build.Env = append(os.Environ(), "CGO_ENABLED=1")
			}
			if out, err := build.CombinedOutput(); err != nil {
				t.Skipf("go test -c: %v: %s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), "go", "tool", "objdump", "-s", `internal/rawcall\.`, binary).Output()
			must(t, err)
			functions, inChild := 0, false
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "TEXT ") {
					if inChild = strings.HasSuffix(strings.TrimSpace(line), "/rawcall/run.go"); inChild {
						functions++
					}
				}
				_, target, found := strings.Cut(line, "CALL ")
				if inChild && found && !strings.Contains(target, "internal/rawcall.") && !strings.HasPrefix(target, "syscall.RawSyscall6(SB)") {
					t.Errorf("it calls %s", strings.TrimSpace(line))
				}
			}
			if functions < 3 {
				t.Errorf("found %d functions", functions)
			}
		})
	}
}
