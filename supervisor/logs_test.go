// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fifos gives the task log FIFOs where Nomad has them: alloc/logs below the
// allocation directory, which the task's user may write.
func (k *task) fifos() (out, failed string) {
	k.t.Helper()
	dir := filepath.Join(filepath.Dir(k.run), "alloc", "logs")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		k.t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			k.t.Fatal(err)
		}
	}
	out, failed = filepath.Join(dir, ".t.stdout.fifo"), filepath.Join(dir, ".t.stderr.fifo")
	for _, path := range []string{out, failed} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	k.spec.StdoutFIFO, k.spec.StderrFIFO = out, failed
	return out, failed
}

// reader collects what comes out of a FIFO until its writers have closed it.
func reader(t *testing.T, path string) <-chan string {
	t.Helper()
	all := make(chan string, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			all <- err.Error()
			return
		}
		defer f.Close()
		data, _ := io.ReadAll(f)
		all <- string(data)
	}()
	return all
}

func collected(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case text := <-from:
		return text
	case <-time.After(testPatience):
		t.Fatal("the FIFO was not closed")
		return ""
	}
}

func TestLogsAreCopied(t *testing.T) {
	k := shell(t, "echo to stdout; echo to stderr >&2; echo last words")
	out, failed := k.fifos()
	fromOut, fromFailed := reader(t, out), reader(t, failed)
	k.wait(k.start())
	if got := collected(t, fromOut); got != "to stdout\nlast words\n" {
		t.Errorf("stdout: %q", got)
	}
	if got := collected(t, fromFailed); got != "to stderr\n" {
		t.Errorf("stderr: %q", got)
	}
	if got := k.read(k.run, "stdout"); got != "to stdout\nlast words\n" {
		t.Errorf("file: %q", got)
	}
}

func TestLogsFollowWhileTheSolverRuns(t *testing.T) {
	k := shell(t, "echo first; while :; do sleep 1000; done")
	out, _ := k.fifos()
	p := k.start()
	f, err := os.OpenFile(out, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := make([]byte, 6)
	if _, err := io.ReadFull(f, line); err != nil || string(line) != "first\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := tree(t, p).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.wait(p)
}

// lines is what solver-talk writes.
func lines(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "line %09d\n", i)
	}
	return b.String()
}

// A reader that takes nothing holds up neither the solver nor, for long, its end.
func TestBlockedReader(t *testing.T) {
	const n = 100_000 // 1.5 MB
	k := self(t, "solver-talk", fmt.Sprint(n))
	out, _ := k.fifos()
	f, err := os.OpenFile(out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := k.start()
	_, supervisor := record(t, p)
	if exit := k.wait(p); exit.Code != 0 {
		t.Errorf("got %+v", exit)
	}
	if !gone(supervisor) {
		t.Error("the supervisor is still there")
	}
	if k.read(k.run, "stdout") != lines(n) {
		t.Error("the output file is not complete")
	}
}

// A reader that comes late, or goes and comes again, gets what the one before it
// did not read.
func TestVanishedReaderLosesNothing(t *testing.T) {
	const n = 60_000 // 900 kB: more than a pipe holds
	k := self(t, "solver-talk", fmt.Sprint(n))
	out, _ := k.fifos()
	k.spec.Args = nil
	k.spec.Command = "/bin/sh"
	solver := filepath.Join(filepath.Dir(k.run), "solver")
	k.spec.Args = []string{"-c", solver + " solver-talk " + fmt.Sprint(n) + "; read line < go"}
	letGo := k.gate()
	p := k.start()
	var got bytes.Buffer
	for got.Len() < len(lines(n)) {
		f, err := os.OpenFile(out, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(&got, f, int64(min(200_000, len(lines(n))-got.Len())))
		f.Close()
	}
	if got.String() != lines(n) {
		t.Errorf("lost or doubled: %d bytes of %d", got.Len(), len(lines(n)))
	}
	letGo()
	if exit := k.wait(p); exit.Code != 0 {
		t.Errorf("got %+v", exit)
	}
}

// The FIFO is made anew (the client's host restarted its log collector): what lay
// unread in the old one is copied into the new one.
func TestReplacedFIFO(t *testing.T) {
	k := shell(t, "echo one; read line < go; echo two; read line < go")
	out, _ := k.fifos()
	letGo := k.gate()
	old, err := os.OpenFile(out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := k.start()
	eventually(t, "something lies in the FIFO", func() bool { return unreadIn(old) > 0 })
	old.Close()
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(out, 0o600); err != nil {
		t.Fatal(err)
	}
	from := reader(t, out)
	for range 2 {
		letGo()
		k.says("two")
	}
	k.wait(p)
	if got := collected(t, from); !strings.HasSuffix(got, "one\ntwo\n") {
		t.Errorf("got %q", got)
	}
}

func unreadIn(f *os.File) int {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	raw.Control(func(fd uintptr) { n, _ = ioctlInt(fd, 0x541B) })
	return n
}

func TestLateFIFO(t *testing.T) {
	k := shell(t, "echo early; read line < go")
	out, failed := k.fifos()
	letGo := k.gate()
	os.Remove(out)
	os.Remove(failed)
	p := k.start()
	k.says("early")
	if err := syscall.Mkfifo(out, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(out, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := make([]byte, 6)
	if _, err := io.ReadFull(f, line); err != nil || string(line) != "early\n" {
		t.Errorf("got %q, %v", line, err)
	}
	letGo()
	k.wait(p)
}

// What the user plants in place of a FIFO or of the folder above it is not
// written to.
func TestPlantedLogTargets(t *testing.T) {
	cases := map[string]func(t *testing.T, k *task, out, victim string){
		"a file": func(t *testing.T, k *task, out, victim string) {
			os.Remove(out)
			if err := os.Link(victim, out); err != nil {
				t.Fatal(err)
			}
		},
		"a link": func(t *testing.T, k *task, out, victim string) {
			os.Remove(out)
			if err := os.Symlink(victim, out); err != nil {
				t.Fatal(err)
			}
		},
		"a folder that is a link": func(t *testing.T, k *task, out, victim string) {
			logs := filepath.Dir(out)
			if err := os.RemoveAll(logs); err != nil {
				t.Fatal(err)
			}
			outside := t.TempDir()
			if err := os.Symlink(outside, logs); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(filepath.Join(outside, filepath.Base(out)), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(outside, filepath.Base(out)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if n := unreadIn(f); n != 0 {
					t.Errorf("%d bytes came out of the allocation directory", n)
				}
				f.Close()
			})
		},
	}
	for name, plant := range cases {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "echo planted")
			out, _ := k.fifos()
			victim := filepath.Join(filepath.Dir(k.run), "victim")
			if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
				t.Fatal(err)
			}
			plant(t, k, out, victim)
			k.wait(k.start())
			if got := read(t, victim); got != "untouched" {
				t.Errorf("the victim says %q", got)
			}
		})
	}
}

func TestTruncatedOutputIsFollowed(t *testing.T) {
	k := shell(t, "echo before truncation; read line < go; : > stdout; echo after; read line < go")
	out, _ := k.fifos()
	letGo := k.gate()
	p := k.start()
	f, err := os.OpenFile(out, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, want := range []string{"before truncation\n", "after\n"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(f, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
		letGo()
	}
	k.wait(p)
}

func ioctlInt(fd uintptr, request uint) (int, error) { return unix.IoctlGetInt(int(fd), request) }
