// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

const testPatience = time.Minute

// eventually waits for something that no descriptor tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testPatience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("after %s still not: %s", testPatience, what)
}

// task is one task under test.
type task struct {
	t    *testing.T
	dir  string // record directory
	run  string // run folder
	spec Spec
	env  []string
}

// nobody is the user that tasks run as when the tests are root.
var nobody = User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent"}

func asRoot() bool { return os.Geteuid() == 0 }

func newTask(t *testing.T, command string, args ...string) *task {
	t.Helper()
	base := t.TempDir()
	// The user has to get through to the run folder.
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k := &task{t: t, dir: filepath.Join(base, "record"), run: filepath.Join(base, "run")}
	for _, dir := range []string{k.dir, k.run} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	user := User{UID: os.Getuid(), GID: os.Getgid()}
	if asRoot() {
		user = nobody
		if err := os.Chown(k.run, user.UID, user.GID); err != nil {
			t.Fatal(err)
		}
	}
	k.spec = Spec{
		TaskID: t.Name(), Command: command, Args: args, Dir: k.run, User: user,
		Cgroups: Cgroups{Mode: CgroupNone}, StdoutName: "stdout", StderrName: "stderr",
	}
	k.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TOKEN=secret-for-nobody"}
	t.Cleanup(k.end)
	return k
}

func shell(t *testing.T, script string) *task {
	t.Helper()
	return newTask(t, "/bin/sh", "-c", script)
}

// self is this test binary in one of its parts, where the user can execute it.
func self(t *testing.T, part string, args ...string) *task {
	t.Helper()
	k := newTask(t, "/", append([]string{part}, args...)...)
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	k.spec.Command = filepath.Join(filepath.Dir(k.run), "solver")
	if err := os.WriteFile(k.spec.Command, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *task) launch() (*Process, error) {
	lock, err := lockRecord(k.dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), testPatience)
	defer cancel()
	return Start(ctx, Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env})
}

func (k *task) start() *Process {
	k.t.Helper()
	p, err := k.launch()
	if err != nil {
		k.t.Fatalf("start: %v\nsupervisor's log: %s", err, k.read(k.dir, "supervisor.log"))
	}
	k.t.Cleanup(p.Close)
	return p
}

// end leaves nothing of the task behind.
func (k *task) end() {
	p, err := Open(k.dir)
	if err != nil {
		return
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if tree, err := p.Tree(); err == nil {
		if err := tree.Kill(ctx); err != nil {
			k.t.Error(err)
		}
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		k.t.Errorf("the supervisor of %s did not end; its log: %s", k.dir, k.read(k.dir, "supervisor.log"))
	}
}

func (k *task) wait(p *Process) ExitRecord {
	k.t.Helper()
	exit, err := k.outcome(p)
	if err != nil {
		k.t.Fatalf("wait: %v", err)
	}
	return exit
}

func (k *task) outcome(p *Process) (ExitRecord, error) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), testPatience)
	defer cancel()
	exit, err := p.Wait(ctx)
	if ctx.Err() != nil {
		k.t.Fatalf("the task did not end; supervisor's log: %s", k.read(k.dir, "supervisor.log"))
	}
	return exit, err
}

func (k *task) read(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// says waits until the solver has written something.
func (k *task) says(text string) {
	k.t.Helper()
	eventually(k.t, "stdout says "+text, func() bool { return strings.Contains(k.read(k.run, "stdout"), text) })
}

// gate makes the FIFO "go" in the run folder; each call of what it returns lets one
// "read line < go" of the solver pass. The test keeps it open all the time: were it
// closed after each line, a solver that is quick to its next read would find the end
// of the file there.
func (k *task) gate() (letGo func()) {
	k.t.Helper()
	path := filepath.Join(k.run, "go")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		k.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { f.Close() })
	return func() {
		k.t.Helper()
		if _, err := f.WriteString("\n"); err != nil {
			k.t.Fatal(err)
		}
	}
}

func tree(t *testing.T, p *Process) *Tree {
	t.Helper()
	tree, err := p.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func record(t *testing.T, p *Process) (pid, supervisor int) {
	t.Helper()
	r, err := p.Record()
	if err != nil {
		t.Fatal(err)
	}
	return r.PID, r.SupervisorPID
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("pid %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func gone(pid int) bool {
	stat, err := procfs.ReadStat(procfs.Root, pid)
	return err != nil || stat.Ended()
}

func status(t *testing.T, text, key string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %q", key, text)
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
