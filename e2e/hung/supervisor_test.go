// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hung

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	commands "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// The test binary is also the file system's server, the driver's program and, in
// package shim's init, a supervisor.
func TestMain(m *testing.M) {
	hangfs.Main()
	if len(os.Args) == 4 && os.Args[1] == holderRole {
		holdState(os.Args[2], os.Args[3])
	}
	if os.Args[0] == program {
		os.Exit(commands.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

const patience = 30 * time.Second

// A site is a task whose run folder can hang.
type site struct {
	t      *testing.T
	mount  *hangfs.Mount
	record string // folder
	spec   supervisor.Spec
}

func newSite(t *testing.T, script string) *site {
	t.Helper()
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	base := t.TempDir()
	s := &site{t: t, record: filepath.Join(base, "record")}
	backing, path := filepath.Join(base, "backing"), filepath.Join(base, "run")
	for _, dir := range []string{s.record, backing, filepath.Join(backing, "folder"), path} {
		must.NoError(t, os.Mkdir(dir, 0o700))
	}
	var err error
	s.mount, err = hangfs.New(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, s.mount.Close()) })
	s.spec = supervisor.Spec{
		TaskID: t.Name(), Command: "/bin/sh", Args: []string{"-c", script}, Dir: filepath.Join(path, "folder"),
		User: supervisor.User{UID: os.Getuid(), GID: os.Getgid()}, Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
		StdoutName: "stdout", StderrName: "stderr",
	}
	t.Cleanup(s.end)
	return s
}

// end leaves no process behind; the file system answers again.
func (s *site) end() {
	must.NoError(s.t, s.mount.Resume())
	p, err := supervisor.Open(s.record)
	must.NoError(s.t, err)
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if tree, err := p.Tree(); err == nil {
		must.NoError(s.t, tree.Kill(ctx))
	}
	s.closes("done", p.Done())
	s.eventually("the supervisor has ended", func() bool {
		r, _ := p.Record()
		return !r.SupervisorAlive(procfs.Root)
	})
}

func (s *site) start(ctx context.Context) (*supervisor.Process, error) {
	s.t.Helper()
	lock, err := durable.Lock(filepath.Join(s.record, durable.LockFile), os.O_RDWR|os.O_CREATE)
	must.NoError(s.t, err)
	return supervisor.Start(ctx, supervisor.Launch{Dir: s.record, Lock: lock, Spec: &s.spec, Env: []string{"PATH=/usr/bin:/bin"}})
}

func (s *site) started() *supervisor.Process {
	s.t.Helper()
	p, err := s.start(s.t.Context())
	must.NoError(s.t, err)
	s.t.Cleanup(p.Close)
	return p
}

func (s *site) closes(what string, c <-chan struct{}) {
	s.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		s.t.Fatalf("%s: not closed", what)
	}
}

func (s *site) eventually(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("after %s still not: %s", patience, what)
}

func (s *site) locked() bool {
	s.t.Helper()
	held, err := durable.Held(filepath.Join(s.record, durable.LockFile))
	must.NoError(s.t, err)
	return held
}

// says waits until the solver has written something.
func (s *site) says(words string) {
	s.t.Helper()
	s.eventually("the solver says "+words, func() bool {
		data, _ := os.ReadFile(filepath.Join(s.mount.Backing, "folder", "stdout"))
		return strings.Contains(string(data), words)
	})
}

// gate makes a FIFO; each call of what it returns lets one "read x" from it pass.
func (s *site) gate() (path string, letGo func()) {
	s.t.Helper()
	path = filepath.Join(filepath.Dir(s.record), "gate")
	must.NoError(s.t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must.NoError(s.t, err)
	s.t.Cleanup(func() { _ = f.Close() })
	return path, func() {
		_, err := f.WriteString("\n")
		must.NoError(s.t, err)
	}
}

// log gives the task a FIFO for its log and returns its reader's end.
func (s *site) log() *os.File {
	s.t.Helper()
	dir := filepath.Join(filepath.Dir(s.record), "alloc", "logs")
	must.NoError(s.t, os.MkdirAll(dir, 0o700))
	s.spec.StdoutFIFO = filepath.Join(dir, "out")
	must.NoError(s.t, syscall.Mkfifo(s.spec.StdoutFIFO, 0o600))
	f, err := os.OpenFile(s.spec.StdoutFIFO, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must.NoError(s.t, err)
	s.t.Cleanup(func() { _ = f.Close() })
	return f
}

// hangWith has the file system hang with the next request of a process, which do
// brings about.
func (s *site) hangWith(pid int, do func()) {
	s.t.Helper()
	must.NoError(s.t, s.mount.HangWhen(pid, do))
}

// A thread of the supervisor is in a read of the log that nobody answers, when the
// solver ends. Its end is on record all the same; cores and lock are free at once,
// and the task is over after the time that the rest of the log has.
func TestSupervisor_HangsInAReadOfTheLog(t *testing.T) {
	for name, killable := range map[string]bool{"which SIGKILL ends": true, "which nothing ends": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			s := newSite(t, "")
			gate, letGo := s.gate()
			s.spec.Args = []string{"-c", "echo up; read x < " + gate + "; echo more; exec sleep 1000"}
			s.log()
			p := s.started()
			s.says("up")
			rec, err := p.Record()
			must.NoError(t, err)
			if killable {
				must.NoError(t, s.mount.Hang())
			} else {
				s.hangWith(rec.SupervisorPID, letGo)
			}
			began := time.Now()
			tree, err := p.Tree()
			must.NoError(t, err)
			must.NoError(t, tree.Kill(t.Context()))
			s.closes("gone", p.Gone())
			must.Less(t, 8*time.Second, time.Since(began)) // before the task is over
			s.closes("done", p.Done())
			t.Logf("done after %s; the supervisor is there: %v", time.Since(began), rec.SupervisorAlive(procfs.Root))
			must.False(t, s.locked())
			exit, err := p.Wait(t.Context())
			must.NoError(t, err)
			must.Eq(t, 9, exit.Signal)
		})
	}
}

// threshold is a cgroup that the launch stage joins before it enters its run folder:
// a FIFO, in front of which it waits.
type threshold struct {
	t    *testing.T
	dir  string
	fifo string
}

func (s *site) threshold() *threshold {
	s.t.Helper()
	base := filepath.Dir(s.record)
	h := &threshold{t: s.t, dir: filepath.Join(base, "cgroup")}
	h.fifo = filepath.Join(h.dir, "cgroup.procs")
	freezer := filepath.Join(base, "freezer")
	for _, dir := range []string{h.dir, freezer} {
		must.NoError(s.t, os.Mkdir(dir, 0o700))
	}
	must.NoError(s.t, syscall.Mkfifo(h.fifo, 0o600))
	must.NoError(s.t, os.WriteFile(filepath.Join(freezer, "cgroup.procs"), nil, 0o600))
	s.spec.Cgroups = supervisor.Cgroups{Mode: supervisor.CgroupV1, Join: []string{h.dir}, Freezer: freezer}
	return h
}

// pass lets the stage go on.
func (h *threshold) pass() {
	h.t.Helper()
	f, err := os.OpenFile(h.fifo, os.O_RDWR, 0)
	must.NoError(h.t, err)
	h.t.Cleanup(func() { _ = f.Close() })
}

// stage waits for a launch stage below a process and returns its pid.
func (s *site) stage(below int) int {
	s.t.Helper()
	found := 0
	s.eventually("there is a launch stage", func() bool {
		pids, err := procfs.PIDs(procfs.Root)
		must.NoError(s.t, err)
		for _, pid := range pids {
			if args := arguments(pid); len(args) > 1 && (args[1] == shim.PlaceWord || args[1] == shim.StageCommand) && isBelow(pid, below) {
				found = pid
			}
		}
		return found != 0
	})
	return found
}

func isBelow(pid, ancestor int) bool {
	for pid > 1 {
		stat, err := procfs.ReadStat(procfs.Root, pid)
		if err != nil {
			return false
		}
		if stat.PPID == ancestor {
			return true
		}
		pid = stat.PPID
	}
	return false
}

func arguments(pid int) []string {
	data, err := durable.ReadFile(filepath.Join(procfs.Root, strconv.Itoa(pid), "cmdline"), 1<<20)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

func ended(pid int) bool {
	stat, err := procfs.ReadStat(procfs.Root, pid)
	return err != nil || stat.Ended()
}

// Start ends with its context. What cannot be ended it names, and somebody else than
// the caller's thread waits for it.
func TestStart_RunFolderHangs(t *testing.T) {
	t.Run("the stage can be ended", func(t *testing.T) {
		s := newSite(t, "echo never")
		must.NoError(t, s.mount.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.start(ctx)
		must.ErrorIs(t, err, context.DeadlineExceeded)
		must.False(t, errors.Is(err, supervisor.ErrNotEnded), must.Sprint(err))
		must.Less(t, patience, time.Since(began))
		must.False(t, s.locked())
	})
	t.Run("nothing ends the stage", func(t *testing.T) {
		s := newSite(t, "echo never")
		threshold := s.threshold()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := s.start(ctx)
			failed <- err
		}()
		s.hangWith(s.stage(os.Getpid()), threshold.pass)
		began := time.Now()
		cancel()
		err := <-failed
		t.Log(err)
		must.Less(t, patience, time.Since(began))
		must.ErrorIs(t, err, context.Canceled)
		must.ErrorIs(t, err, supervisor.ErrNotEnded)
		var left *supervisor.NotEndedError
		must.True(t, errors.As(err, &left))
		t.Cleanup(left.Process.Close)
		must.True(t, s.locked())
		select {
		case <-left.Process.Done():
			t.Error("done, but the stage is there")
		default:
		}
		must.NoError(t, s.mount.Resume())
		exit, err := left.Process.Wait(t.Context())
		must.NoError(t, err)
		must.Eq(t, -1, exit.Code)
		must.False(t, s.locked())
	})
}

func TestExec_RunFolderHangs(t *testing.T) {
	for name, killable := range map[string]bool{"the command can be ended": true, "nothing ends the command": false} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "echo up; exec sleep 1000")
			p := s.started()
			s.says("up")
			threshold := s.threshold()
			spec := *p.Spec()
			spec.Cgroups = s.spec.Cgroups
			c, err := p.Command(&spec, supervisor.ExecOptions{Argv: []string{"/bin/true"}})
			must.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error, 1)
			go func() { failed <- c.Start(ctx) }()
			stage := s.stage(os.Getpid())
			if killable {
				must.NoError(t, s.mount.Hang())
				threshold.pass()
			} else {
				s.hangWith(stage, threshold.pass)
			}
			began := time.Now()
			cancel()
			err = <-failed
			t.Log(err)
			must.Less(t, patience, time.Since(began))
			must.ErrorIs(t, err, context.Canceled)
			must.Eq(t, !killable, errors.Is(err, supervisor.ErrNotEnded))
			must.Eq(t, killable, ended(stage))
			must.NoError(t, s.mount.Resume())
			s.eventually("the command has ended", func() bool { return ended(stage) })
		})
	}
}
