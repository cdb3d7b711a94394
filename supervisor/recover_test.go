// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// plugin starts a process that launches the task and stops for ever at a point;
// it returns that process's id and the solver's.
func (k *task) plugin(until string) (plugin, solver int) {
	k.t.Helper()
	if err := WriteSpec(k.dir, &k.spec); err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "plugin", k.dir, until)
	cmd.Env = append(slices.Clone(k.env), stageVariable+"="+os.Getenv(stageVariable))
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		k.t.Fatal(err)
	}
	word, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != until {
		k.t.Fatalf("the plugin says %q", line)
	}
	solver, err = strconv.Atoi(pid)
	if err != nil {
		k.t.Fatal(err)
	}
	return cmd.Process.Pid, solver
}

func open(t *testing.T, k *task) *Process {
	t.Helper()
	p, err := Open(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPluginKilledBeforeGo(t *testing.T) {
	k := shell(t, "echo ran")
	plugin, stage := k.plugin("ready")
	p := open(t, k)
	if p.State() != Launching {
		t.Errorf("state %s", p.State())
	}
	kill(t, plugin)
	exit := k.wait(p)
	if exit.Code != -1 || exit.LaunchError == "" {
		t.Errorf("got %+v", exit)
	}
	if text := k.read(k.run, "stdout"); text != "" {
		t.Errorf("the solver ran: %q", text)
	}
	if !gone(stage) {
		t.Error("the launch stage lives")
	}
	if _, err := os.Stat(filepath.Join(k.dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a pid file: %v", err)
	}
}

func TestPluginKilledAfterGo(t *testing.T) {
	k := shell(t, "echo ran; read line < go; exit 7")
	letGo := k.gate()
	plugin, solver := k.plugin("started")
	kill(t, plugin)
	p := open(t, k)
	if p.State() != Running {
		t.Errorf("state %s", p.State())
	}
	if pid, _ := record(t, p); pid != solver || tree(t, p).MainPID() != solver {
		t.Errorf("found %d, started %d", pid, solver)
	}
	letGo()
	if exit := k.wait(p); exit.Code != 7 || exit.PID != solver {
		t.Errorf("got %+v", exit)
	}
}

func TestSolverEndsWhileNobodyWatches(t *testing.T) {
	for name, want := range map[string]struct{ code, signal int }{"exit 3": {3, 0}, "kill -SEGV $$": {139, 11}} {
		t.Run(name, func(t *testing.T) {
			k := shell(t, name)
			plugin, _ := k.plugin("started")
			kill(t, plugin)
			eventually(t, "the lock is free", func() bool { held, _ := durable.Held(lockPath(k.dir)); return !held })
			p := open(t, k)
			exit := k.wait(p)
			if exit.Code != want.code || exit.Signal != want.signal || p.State() != Ended {
				t.Errorf("got %+v, state %s", exit, p.State())
			}
		})
	}
}

func TestSupervisorKilled(t *testing.T) {
	k := shell(t, "sleep 1000 & echo up; wait")
	p := k.start()
	k.says("up")
	solver, supervisor := record(t, p)
	kill(t, supervisor)
	eventually(t, "the lock is free", func() bool { held, _ := durable.Held(lockPath(k.dir)); return !held })
	again := open(t, k)
	for _, p := range []*Process{p, again} {
		if p.State() != Orphaned {
			t.Errorf("state %s", p.State())
		}
		select {
		case <-p.Done():
			t.Error("done while the solver lives")
		default:
		}
	}
	pids, err := tree(t, again).PIDs()
	if err != nil || len(pids) != 2 || !slices.Contains(pids, solver) {
		t.Errorf("tree %v, %v", pids, err)
	}
	if err := tree(t, again).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Process{p, again} {
		exit, err := k.outcome(p)
		if !errors.Is(err, ErrExitUnknown) || errors.Is(err, ErrRebooted) || exit.Code == 0 {
			t.Errorf("got %+v, %v", exit, err)
		}
		if p.State() != Ended {
			t.Errorf("state %s", p.State())
		}
	}
}

// The lost supervisor's solver ends by itself: whoever opened the record hears of
// it, and of its status only that it is unknown.
func TestOrphanEndsByItself(t *testing.T) {
	k := shell(t, "echo up; read line < go; exit 0")
	letGo := k.gate()
	p := k.start()
	k.says("up")
	_, supervisor := record(t, p)
	kill(t, supervisor)
	again := open(t, k)
	letGo()
	if exit, err := k.outcome(again); !errors.Is(err, ErrExitUnknown) || exit.Code != -1 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// A record that speaks of another process must not lead to one that happens to
// have the id, least of all to a signal.
func TestForgedRecords(t *testing.T) {
	bystander := exec.Command("sleep", "1000")
	bystander.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bystander.Process.Kill(); bystander.Wait() })
	boot, err := procfs.BootID(procfs.Root)
	if err != nil {
		t.Fatal(err)
	}
	began, err := procfs.StartTicks(procfs.Root, bystander.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	pid := bystander.Process.Pid
	cases := map[string]struct {
		r        pidfile.Record
		rebooted bool
	}{
		"id used again":              {pidfile.Record{PID: pid, StartTime: began - 1, BootID: boot}, false},
		"supervisor's id used again": {pidfile.Record{PID: 1 << 30, StartTime: 5, BootID: boot, SupervisorPID: pid, SupervisorStartTime: began - 1}, false},
		"another boot":               {pidfile.Record{PID: pid, StartTime: began, BootID: "another", SupervisorPID: pid, SupervisorStartTime: began}, true},
		"no identity":                {pidfile.Record{PID: pid}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "true")
			if err := WriteSpec(k.dir, &k.spec); err != nil {
				t.Fatal(err)
			}
			c.r.Cores = []int{0}
			if err := pidfile.Write(filepath.Join(k.dir, "pid"), c.r); err != nil {
				t.Fatal(err)
			}
			p := open(t, k)
			if p.State() != Ended {
				t.Errorf("state %s", p.State())
			}
			tr := tree(t, p)
			if pids, err := tr.PIDs(); err != nil || len(pids) > 0 || tr.MainPID() != 0 {
				t.Errorf("tree %v, main %d, %v", pids, tr.MainPID(), err)
			}
			if err := tr.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal: %v", err)
			}
			if err := tr.Kill(t.Context()); err != nil {
				t.Errorf("kill: %v", err)
			}
			if _, err := k.outcome(p); !errors.Is(err, ErrExitUnknown) || errors.Is(err, ErrRebooted) != c.rebooted {
				t.Errorf("outcome: %v", err)
			}
			if gone(pid) {
				t.Fatal("the bystander was killed")
			}
		})
	}
}

func TestStaleOrSpoiledExitRecord(t *testing.T) {
	k := shell(t, "exit 0")
	k.wait(k.start())
	good := k.read(k.dir, "exit.json")
	pid, err := pidfile.Read(filepath.Join(k.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]func() (string, pidfile.Record){
		"another start time": func() (string, pidfile.Record) { r := pid; r.StartTime++; return good, r },
		"another boot":       func() (string, pidfile.Record) { r := pid; r.BootID = "x"; return good, r },
		"another pid":        func() (string, pidfile.Record) { r := pid; r.PID++; return good, r },
		"half a file":        func() (string, pidfile.Record) { return good[:len(good)/2], pid },
		"a future version": func() (string, pidfile.Record) {
			return strings.Replace(good, `"version":1`, `"version":99`, 1), pid
		},
		"nothing about a process": func() (string, pidfile.Record) { return `{"version":1,"code":0}`, pid },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			exit, r := spoil()
			if err := os.WriteFile(filepath.Join(k.dir, "exit.json"), []byte(exit), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := pidfile.Write(filepath.Join(k.dir, "pid"), r); err != nil {
				t.Fatal(err)
			}
			if exit, err := ReadExit(k.dir); !errors.Is(err, ErrNoExit) {
				t.Errorf("got %+v, %v", exit, err)
			}
		})
	}
}

// With the pid file gone or spoiled, what the driver state remembers stands in.
func TestKnownRecordStandsIn(t *testing.T) {
	for name, content := range map[string]string{"gone": "", "first line only": "first", "garbage": "garbage\n"} {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "echo up; sleep 1000")
			p := k.start()
			k.says("up")
			known, err := p.Record()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(k.dir, "pid")
			if content == "first" {
				content = strconv.Itoa(known.PID) + "\n"
			}
			os.Remove(path)
			if content != "" {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again, err := OpenKnown(k.dir, known)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if again.State() != Running || tree(t, again).MainPID() != known.PID {
				t.Errorf("state %s, main %d", again.State(), tree(t, again).MainPID())
			}
			if err := again.Bind(cpuset.Of(someCPUs(t, 1)...)); err != nil {
				t.Error(err)
			}
			if r, err := pidfile.Read(path); err != nil || r.PID != known.PID || r.StartTime != known.StartTime {
				t.Errorf("pid file not mended: %+v, %v", r, err)
			}
			if err := tree(t, again).Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if exit := k.wait(again); exit.Signal != int(syscall.SIGTERM) {
				t.Errorf("got %+v", exit)
			}
		})
	}
}

func TestLockHasNoGap(t *testing.T) {
	k := shell(t, "echo up; sleep 1000")
	p := k.start()
	if _, err := lockRecord(k.dir); !errors.Is(err, durable.ErrHeld) {
		t.Errorf("lock: %v", err)
	}
	if err := tree(t, p).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.wait(p)
	lock, err := lockRecord(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

func TestWaitHonoursItsContext(t *testing.T) {
	k := shell(t, "sleep 1000")
	p := k.start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
