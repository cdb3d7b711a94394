// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/reap"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

const otherBoot = "11111111-2222-3333-4444-555555555555"

// reapRecord is a record of its own below state_dir, without a live process.
type reapRecord struct {
	t      *testing.T
	dir    string // state_dir
	record *state.Record
	alloc  string // folder of the allocation
}

// newReapRecord makes the record of a run that is over and forgotten: its pid is
// gone, its exit is recorded, and so is its allocation.
func newReapRecord(t *testing.T) *reapRecord {
	t.Helper()
	m := &reapRecord{t: t, dir: nodetest.StateDir(t), alloc: filepath.Join(t.TempDir(), allocA)}
	store, err := state.Open(m.dir)
	must.NoError(t, err)
	m.record, err = store.Create(state.ID{Alloc: allocA, Task: "solve", Invocation: "1"})
	must.NoError(t, err)
	must.NoError(t, store.Close())
	must.NoError(t, supervisor.WriteSpec(m.record.Dir, &supervisor.Spec{
		TaskID: "x", Command: "/bin/true", Dir: "/tmp", StdoutName: "stdout", StderrName: "stderr",
		Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
	}))
	must.NoError(t, m.record.WriteDetails(&state.Details{JobID: "crash", AllocDir: m.alloc, StartedAt: time.Now()}))
	boot, err := procfs.BootID("/proc")
	must.NoError(t, err)
	m.pid(pidfile.Record{PID: 1<<22 + 17, StartTime: 1, BootID: boot, Cores: []int{0}})
	m.record.Unlock()
	return m
}

func (m *reapRecord) pid(rec pidfile.Record) {
	m.t.Helper()
	must.NoError(m.t, pidfile.Write(filepath.Join(m.record.Dir, "pid"), rec))
}

func (m *reapRecord) write(name, content string) {
	m.t.Helper()
	must.NoError(m.t, os.WriteFile(filepath.Join(m.record.Dir, name), []byte(content), 0o600))
}

func (m *reapRecord) remove(name string) {
	m.t.Helper()
	must.NoError(m.t, os.Remove(filepath.Join(m.record.Dir, name)))
}

// exited records an exit of the process in the pid file.
func (m *reapRecord) exited() {
	m.t.Helper()
	rec, err := pidfile.Read(filepath.Join(m.record.Dir, "pid"))
	must.NoError(m.t, err)
	m.write("exit.json", fmt.Sprintf(`{"version":1,"pid":%d,"start_time":%d,"boot_id":%q,"code":0}`, rec.PID, rec.StartTime, rec.BootID))
}

// runReapCommand calls reap and returns its only row.
func runReapCommand(t *testing.T, dir string, args ...string) (reap.Row, int) {
	t.Helper()
	got := call(t, append([]string{"reap", "-state-dir", dir, "-json"}, args...)...)
	var report reap.Report
	must.NoError(t, json.Unmarshal([]byte(got.out), &report), must.Sprint(got.errout))
	must.Len(t, 1, report.Records)
	return report.Records[0], got.code
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestReap_removesOnlyWithProof(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(m *reapRecord)
		removed bool
		why     string
	}{
		"its process and its allocation are gone": {func(*reapRecord) {}, true, "its process 4194321 is gone; its allocation is gone"},
		"its exit is on record":                   {(*reapRecord).exited, true, "its exit is on record; its allocation is gone"},
		"its allocation is there":                 {func(m *reapRecord) { must.NoError(m.t, os.Mkdir(m.alloc, 0o700)) }, false, "still on this node"},
		"the disk of all allocations is not mounted": {
			func(m *reapRecord) { must.NoError(m.t, os.Remove(filepath.Dir(m.alloc))) },
			false, "is Nomad's data_dir mounted?",
		},
		"the pid lives": {func(m *reapRecord) {
			start, err := procfs.StartTicks("/proc", os.Getpid())
			must.NoError(m.t, err)
			boot, err := procfs.BootID("/proc")
			must.NoError(m.t, err)
			m.pid(pidfile.Record{PID: os.Getpid(), StartTime: start, BootID: boot, Cores: []int{0}})
		}, false, "its solver lives without a supervisor"},
		"the pid is another process's": {func(m *reapRecord) {
			boot, err := procfs.BootID("/proc")
			must.NoError(m.t, err)
			m.pid(pidfile.Record{PID: os.Getpid(), StartTime: 1, BootID: boot, Cores: []int{0}})
		}, true, "is gone"},
		"the lock is held":               {func(m *reapRecord) { must.NoError(m.t, m.record.TryLock()); m.t.Cleanup(m.record.Unlock) }, false, "it runs"},
		"no pid file":                    {func(m *reapRecord) { m.remove("pid") }, false, "does not tell which process"},
		"a pid file without an identity": {func(m *reapRecord) { m.write("pid", "4194321\n") }, false, "does not tell which process"},
		"a spoiled pid file":             {func(m *reapRecord) { m.write("pid", "\x00") }, false, "does not tell which process"},
		"no details":                     {func(m *reapRecord) { m.remove("task.json") }, false, "its allocation is not known"},
		"another boot, no exit": {func(m *reapRecord) {
			m.pid(pidfile.Record{PID: 77, StartTime: 5, BootID: otherBoot, Cores: []int{0}})
			must.NoError(m.t, os.Mkdir(m.alloc, 0o700))
		}, true, "the machine was started since; no exit was recorded"},
		"another boot, no exit, no details": {func(m *reapRecord) {
			m.pid(pidfile.Record{PID: 77, StartTime: 5, BootID: otherBoot, Cores: []int{0}})
			m.remove("task.json")
		}, true, "the machine was started since"},
		"another boot, but Nomad may ask for the exit": {func(m *reapRecord) {
			m.pid(pidfile.Record{PID: 77, StartTime: 5, BootID: otherBoot, Cores: []int{0}})
			m.exited()
			must.NoError(m.t, os.Mkdir(m.alloc, 0o700))
		}, false, "still on this node"},
		"a start that got nowhere": {func(m *reapRecord) {
			m.remove("pid")
			m.remove("spec.json")
			m.remove("task.json")
		}, true, "nothing was started in it"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newReapRecord(t)
			c.prepare(m)
			would := map[bool]string{true: "would_remove", false: "kept"}[c.removed]
			row, code := runReapCommand(t, m.dir, "-dry-run")
			must.Eq(t, exitOK, code)
			must.Eq(t, would, row.Action)
			must.StrContains(t, row.Why, c.why)
			must.True(t, there(m.record.Dir))
			row, code = runReapCommand(t, m.dir)
			must.Eq(t, exitOK, code)
			must.Eq(t, map[bool]string{true: "removed", false: "kept"}[c.removed], row.Action)
			must.Eq(t, !c.removed, there(m.record.Dir))
		})
	}
}

func TestReap_tellsInWordsWhatItDid(t *testing.T) {
	m := newReapRecord(t)
	must.StrContains(t, call(t, "reap", "-state-dir", m.dir, "-dry-run").out, "would remove "+allocA+"/solve/1  crash  ended: its process")
	must.StrContains(t, call(t, "reap", "-state-dir", m.dir).out, "removed      "+allocA)
	must.Eq(t, "There are no records.\n", call(t, "reap", "-state-dir", m.dir).out)
}

func TestReap_refusesAStateDirThatOthersCanEnter(t *testing.T) {
	m := newReapRecord(t)
	must.NoError(t, os.Chmod(m.dir, 0o755))
	r := call(t, "reap", "-state-dir", m.dir)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "chmod 0700")
	must.True(t, there(m.record.Dir))
}

func TestReap_wrongCalls(t *testing.T) {
	m := newReapRecord(t)
	for _, target := range []string{"x", "/solve", allocA + "/"} {
		must.Eq(t, exitUsage, call(t, "reap", "-state-dir", m.dir, "-kill", target).code)
	}
	r := call(t, "reap", "-state-dir", m.dir, "-kill", "ffff/solve")
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "there is no record of ffff/solve")
	must.True(t, there(m.record.Dir))
}

// liveReapRun is a real supervisor with a solver that sleeps. This test binary
// runs as the supervisor: package shim sees to that in its init.
type liveReapRun struct {
	*reapRecord
	proc *supervisor.Process
	rec  pidfile.Record
}

func startReapRun(t *testing.T, adjust ...func(*state.Details, *supervisor.Spec)) *liveReapRun {
	t.Helper()
	m := &reapRecord{t: t, dir: nodetest.StateDir(t), alloc: filepath.Join(t.TempDir(), allocA)}
	store, err := state.Open(m.dir)
	must.NoError(t, err)
	defer store.Close()
	m.record, err = store.Create(state.ID{Alloc: allocA, Task: "solve", Invocation: "1"})
	must.NoError(t, err)
	defer m.record.Unlock()
	details := &state.Details{JobID: "crash", AllocDir: m.alloc, StartedAt: time.Now(), UID: os.Geteuid(), GID: os.Getegid()}
	spec := &supervisor.Spec{
		TaskID: m.record.ID.String(), Command: "/bin/sleep", Args: []string{"3600"}, Dir: t.TempDir(),
		User: supervisor.User{UID: os.Geteuid(), GID: os.Getegid()}, StdoutName: "stdout", StderrName: "stderr",
		Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
	}
	for _, f := range adjust {
		f(details, spec)
	}
	must.NoError(t, m.record.WriteDetails(details))
	proc, err := supervisor.Start(t.Context(), supervisor.Launch{
		Dir: m.record.Dir, Lock: m.record.Lock(), Env: []string{"PATH=/usr/bin:/bin"}, Spec: spec,
	})
	must.NoError(t, err)
	t.Cleanup(func() { endRun(t, proc) })
	rec, err := proc.Record()
	must.NoError(t, err)
	return &liveReapRun{reapRecord: m, proc: proc, rec: rec}
}

func (l *liveReapRun) alive() bool { return l.rec.Alive("/proc") }

// killSupervisor makes an orphan of the solver.
func (l *liveReapRun) killSupervisor() {
	l.t.Helper()
	must.NoError(l.t, syscall.Kill(l.rec.SupervisorPID, syscall.SIGKILL))
	for end := time.Now().Add(time.Minute); l.proc.State() != supervisor.Orphaned; time.Sleep(2 * time.Millisecond) {
		must.True(l.t, time.Now().Before(end), must.Sprint(l.proc.State()))
	}
}

func TestReap_sparesALiveSolverUnlessNamed(t *testing.T) {
	l := startReapRun(t)
	row, code := runReapCommand(t, l.dir)
	must.Eq(t, exitOK, code)
	must.Eq(t, reap.Kept, row.Action)
	must.Eq(t, "running", row.State)
	l.killSupervisor()
	row, _ = runReapCommand(t, l.dir)
	must.Eq(t, reap.Kept, row.Action)
	must.StrContains(t, row.Why, "-kill "+allocA+"/solve ends it")
	must.True(t, l.alive())

	row, code = runReapCommand(t, l.dir, "-kill", "3f1c2a9b/solve", "-dry-run")
	must.Eq(t, exitOK, code)
	must.Eq(t, "would_end", row.Action)
	must.True(t, l.alive())
	row, code = runReapCommand(t, l.dir, "-kill", "3f1c2a9b/solve")
	must.Eq(t, exitOK, code)
	must.Eq(t, reap.Ended, row.Action)
	must.StrContains(t, row.Why, fmt.Sprint(l.rec.PID))
	must.False(t, l.alive())
	row, _ = runReapCommand(t, l.dir) // its allocation is gone, too
	must.Eq(t, reap.Removed, row.Action)
	must.False(t, there(l.record.Dir))
}

func TestReap_killLeavesToNomadWhatIsNomads(t *testing.T) {
	l := startReapRun(t)
	must.NoError(t, os.Mkdir(l.alloc, 0o700))
	row, code := runReapCommand(t, l.dir, "-kill", allocA+"/solve")
	must.Eq(t, exitNo, code)
	must.Eq(t, reap.Kept, row.Action)
	must.StrContains(t, row.Why, "nomad alloc stop "+allocA)
	must.True(t, l.alive())
	must.Eq(t, exitUsage, call(t, "reap", "-state-dir", l.dir, "-insist").code)

	must.NoError(t, os.Remove(l.alloc)) // Nomad forgot it
	must.StrContains(t, call(t, "status", "-state-dir", l.dir, "-json").out, "reap -kill "+allocA+"/solve ends it")
	row, code = runReapCommand(t, l.dir, "-kill", allocA+"/solve")
	must.Eq(t, exitOK, code)
	must.Eq(t, reap.Ended, row.Action)
	must.False(t, l.alive())
	exit, err := supervisor.ReadExit(l.record.Dir) // the supervisor had its last word
	must.NoError(t, err)
	must.Eq(t, 9, exit.Signal)
}

// A pid file that names somebody else's process makes reap end nobody.
func TestReap_killChecksTheIdentity(t *testing.T) {
	l := startReapRun(t)
	l.killSupervisor()
	victim := l.rec
	forged := l.rec
	forged.StartTime--
	l.pid(forged)
	row, code := runReapCommand(t, l.dir, "-kill", allocA+"/solve")
	must.Eq(t, exitOK, code)
	must.NotEq(t, reap.Ended, row.Action)
	must.True(t, victim.Alive("/proc"))
	if there(l.record.Dir) {
		l.pid(victim)
	} else {
		must.NoError(t, syscall.Kill(victim.PID, syscall.SIGKILL)) // ours, and nobody else finds it any more
	}
}

// Runs of one task share a cgroup: what lives in an old run's is the new run.
func TestReap_killOfAnOldRunSparesItsSuccessor(t *testing.T) {
	l := startReapRun(t)
	must.NoError(t, os.Mkdir(l.alloc, 0o700))
	store, err := state.OpenReadOnly(l.dir)
	must.NoError(t, err)
	old, err := store.Create(state.ID{Alloc: allocA, Task: "solve", Invocation: "0"})
	must.NoError(t, err)
	must.NoError(t, old.WriteDetails(&state.Details{AllocDir: l.alloc}))
	for _, name := range []string{"spec.json", "pid"} { // its successor's processes are all that it can name
		data, err := os.ReadFile(filepath.Join(l.record.Dir, name))
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(filepath.Join(old.Dir, name), data, 0o600))
	}
	old.Unlock()
	r := call(t, "reap", "-state-dir", l.dir, "-kill", allocA+"/solve")
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.out, "a later run of it lives")
	must.True(t, l.alive())
}

// What nobody but an operator can end, an operator can end.
func TestReap_killEndsWhatNomadDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		forget func(t *testing.T, l *liveReapRun)
		args   []string
		note   string // of status; "" for none
	}{
		"the plugin was not asked for it": {func(t *testing.T, l *liveReapRun) {
			must.NoError(t, l.record.WriteUnclaimed(time.Now())) // by this process, which lives
		}, nil, "Nomad has not asked the plugin for it since "},
		"only mount points are left of its allocation": {func(t *testing.T, l *liveReapRun) {
			for _, name := range []string{"secrets", "private"} {
				dir := filepath.Join(l.alloc, "solve", name)
				must.NoError(t, os.MkdirAll(dir, 0o700))
				if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
					t.Skipf("needs to mount: %v", err)
				}
				t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
				must.NoError(t, os.WriteFile(filepath.Join(dir, "token"), nil, 0o600))
			}
		}, nil, "of its allocation's folder only mount points are left"},
		"the operator insists": {func(*testing.T, *liveReapRun) {}, []string{"-insist"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := startReapRun(t)
			must.NoError(t, os.MkdirAll(filepath.Join(l.alloc, "solve"), 0o700))
			row, code := runReapCommand(t, l.dir, "-kill", allocA+"/solve")
			must.Eq(t, exitNo, code)
			must.StrContains(t, row.Why, "Nomad may know it (its allocation is still on this node): nomad alloc stop "+allocA+"; where that does nothing, -insist ends it")
			c.forget(t, l)
			status := call(t, "status", "-state-dir", l.dir).out
			must.StrContains(t, strings.Join(strings.Fields(status), " "), c.note)
			row, code = runReapCommand(t, l.dir, append([]string{"-kill", allocA + "/solve"}, c.args...)...)
			must.Eq(t, exitOK, code, must.Sprint(row.Why))
			must.Eq(t, reap.Ended, row.Action)
			must.False(t, l.alive())
		})
	}
}

// dumper is a solver that computes until a sense switch is there, then writes a dump
// and ends.
const dumper = `cat prelude
while ! test -e d3kil; do sleep 0.01; done
rm d3kil; echo dump > d3dump01
echo " 4002 t 4.0000E-03 write d3dump01 file                   11/22/26 10:01:00"
`

func TestReap_killAsksForADumpFirst(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		args   []string
		signal int
		said   string
	}{
		"a solver that takes the switch":     {dumper, nil, 0, "stopped with sw1, "},
		"one that does not":                  {"cat prelude; exec sleep 600", []string{"-dump", "4s"}, 9, "the solver did not end by sw1 in time"},
		"one that is not asked":              {dumper, []string{"-dump", "0s"}, 9, ""},
		"one that has written no output yet": {"exec sleep 600", nil, 9, ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			must.NoError(t, os.WriteFile(filepath.Join(folder, "prelude"), []byte(nodetest.Solving(5, 1e-2)), 0o644))
			l := startReapRun(t, func(d *state.Details, s *supervisor.Spec) {
				d.RunBase, d.RunFolder, d.Stop, d.Stdout = filepath.Dir(folder), filepath.Base(folder), "sw1", "stdout"
				s.Dir, s.Command, s.Args = folder, "/bin/sh", []string{"-c", c.script}
			})
			if strings.Contains(c.script, "prelude") {
				for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
					if data, _ := os.ReadFile(filepath.Join(folder, "stdout")); strings.Contains(string(data), "4001 t") {
						break
					}
					must.True(t, time.Now().Before(end))
				}
			}
			must.NoError(t, os.MkdirAll(filepath.Dir(l.alloc), 0o700)) // its allocation is gone
			row, code := runReapCommand(t, l.dir, append([]string{"-kill", allocA + "/solve"}, c.args...)...)
			must.Eq(t, exitOK, code)
			must.Eq(t, reap.Ended, row.Action)
			must.StrContains(t, row.Why, c.said)
			exit, err := supervisor.ReadExit(l.record.Dir)
			must.NoError(t, err)
			must.Eq(t, c.signal, exit.Signal)
			must.Eq(t, c.signal == 0, there(filepath.Join(folder, "d3dump01")))
			_, err = l.record.ReadStop() // a plugin tells the end as a stop
			must.Eq(t, c.said != "", err == nil)
		})
	}
}
