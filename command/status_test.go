// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

const (
	allocA = "3f1c2a9b-1111-2222-3333-444455556666"
	allocB = "77aa00bb-1111-2222-3333-444455556666"
)

// statusOf calls status -json.
func statusOf(t *testing.T, dir, sysfs string, args ...string) node.Report {
	t.Helper()
	r := call(t, append([]string{"status", "-json", "-state-dir", dir, "-sysfs", sysfs}, args...)...)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	var report node.Report
	must.NoError(t, json.Unmarshal([]byte(r.out), &report))
	return report
}

func TestStatus_drawsMachineAndTasks(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/cpuset.cpus"), "0-6,8-15")
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/reserve/cpuset.cpus"), "3")
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "crash-front", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: 2*time.Hour + 30*time.Second, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	nodetest.Task{Job: "bird-strike", Alloc: allocB, Name: "solve", Cores: []int{}, Since: 65 * time.Minute}.Make(t, dir)
	nodetest.Task{
		Job: "old", Alloc: "99", Name: "solve", Cores: []int{2}, Since: time.Hour, Over: true,
		Exit: &supervisor.ExitRecord{Version: 1, Code: 137, Signal: 9, OOMKilled: true, FinishedAt: time.Date(2026, 11, 22, 9, 0, 0, 0, time.Local)},
	}.Make(t, dir)
	t.Setenv("COLUMNS", "120")
	r := call(t, "status", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, "", r.errout)
	must.Eq(t, exitOK, r.code)
	must.Eq(t, strings.TrimPrefix(`
2 sockets, 2 NUMA nodes, 8 cores, 16 CPUs, hyper-threading
5 cores free (whole cores, siblings stay idle), 2 tasks

Socket 0, NUMA node 0   1 of 4 free
  cpu 0-3    A A . =
  cpu 8-11   - - . -
Socket 1, NUMA node 1   4 of 4 free
  cpu 4-7    . . . /
  cpu 12-15  . . . .
. free   = reserved by Nomad for others   - idle sibling   / not given out

   JOB          TASK   ALLOC         PID  CORES  PROGRESS                     ETA           TIME  CYCLE  RUNNING  ERRORS
A  crash-front  solve  3f1c2a9b  4194321  0-1    #######...........  40 %   1m00s  0.004 of 0.01   4001    2h00m       0
B  bird-strike  solve  77aa00bb  4194321  any    starting                       -              -      -    1h05m       -

Ended, not collected by Nomad yet
old/solve ended by signal 9 (SIGKILL), out of memory at 2026-11-22 09:00:00

B: runs without affinity (1 core asked)
`, "\n"), r.out)

	t.Setenv("COLUMNS", "60")
	narrow := call(t, "status", "-state-dir", dir, "-sysfs", sysfs).out
	must.StrContains(t, narrow, "\n   JOB          ALLOC     CORES  PROGRESS              ETA\n"+
		"A  crash-front  3f1c2a9b  0-1    #####.......  40 %  1m00s\n")
	for l := range strings.Lines(narrow) {
		must.LessEq(t, 61, len(l), must.Sprint(l))
	}
}

func TestStatus_jsonNamesTheOwnerOfEveryCore(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cgroup.controllers"), "cpuset cpu")
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/nomad.slice/reserve.slice/cpuset.cpus"), "6-7,14-15")
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	nodetest.Task{Job: "pinned-by-nomad", Alloc: allocB, Name: "main", Cores: []int{6, 14}, Reserved: true}.Make(t, dir)
	s := statusOf(t, dir, sysfs)
	must.Eq(t, []int{8, 16, 4}, []int{s.PhysicalCores, s.LogicalCores, s.AvailableCores})
	must.True(t, s.HyperThreading)
	must.Len(t, 16, s.Cores)
	must.Eq(t, "crash", *s.Cores[0].JobID)
	must.Eq(t, allocA, *s.Cores[0].AllocID)
	must.Eq(t, "solve", *s.Cores[0].Task)
	must.Eq(t, 1<<22+17, *s.Cores[0].PID)
	must.False(t, s.Cores[0].Idle)
	must.Eq(t, "crash", *s.Cores[8].JobID)
	must.True(t, s.Cores[8].Idle)
	must.Nil(t, s.Cores[2].JobID)
	must.Nil(t, s.Cores[2].PID)
	must.Eq(t, "pinned-by-nomad", *s.Cores[14].JobID)
	must.False(t, s.Cores[14].Reserved)
	must.Nil(t, s.Cores[15].JobID)
	must.True(t, s.Cores[15].Reserved)

	must.Len(t, 2, s.Tasks)
	task := s.Tasks[0]
	must.Eq(t, []string{"crash", allocA, "solve", "running"}, []string{task.JobID, task.AllocID, task.Task, task.State})
	must.Eq(t, []int{0, 1}, task.Cores)
	must.Eq(t, []int{8, 9}, task.IdleSiblings)
	must.Eq(t, []int{0}, task.NUMANodes)
	must.Eq(t, []float64{0.004, 0.01, 0.4, 60}, []float64{*task.Time, *task.EndTime, *task.Progress, *task.ETA})
	must.Between(t, 30, *task.ETALow, 60)
	must.Between(t, 60, *task.ETAHigh, 120)
	must.Nil(t, task.NoETA)
	must.Between(t, 3600, *task.Elapsed, 3660)
	must.Eq(t, int64(4001), *task.Cycle)
	must.Eq(t, "solving", *task.Phase)
	must.Eq(t, []int{}, s.Tasks[1].IdleSiblings)
	must.Eq(t, []string{}, task.Notes)
}

func TestStatus_freeCoresAreNullInJSON(t *testing.T) {
	r := call(t, "status", "-json", "-state-dir", nodetest.StateDir(t), "-sysfs", topologytest.Of(1, 1, 1, 1, 1).Sysfs(t))
	must.StrContains(t, r.out, `"job_id": null,`)
	must.StrContains(t, r.out, `"pid": null,`)
	must.StrContains(t, r.out, `"tasks": []`)
}

func TestStatus_siblingsAreCoresWhereTheyAreShared(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "a", Alloc: allocA, Name: "solve", Cores: []int{0, 8}}.Make(t, dir)
	s := statusOf(t, dir, sysfs)
	must.Eq(t, allocator.SMTShare, s.SMT)
	must.Eq(t, 14, s.AvailableCores)
	must.Eq(t, 7, statusOf(t, dir, sysfs, "-smt", "isolate").AvailableCores)
	must.Eq(t, 2, statusOf(t, dir, sysfs, "-usable", "1,9").AvailableCores)
}

func TestStatus_aReservedPairOfSiblingsIsNoSignOfSharing(t *testing.T) {
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "a", Alloc: allocA, Name: "solve", Cores: []int{0, 8}, Reserved: true}.Make(t, dir)
	s := statusOf(t, dir, twoSockets.Sysfs(t))
	must.Eq(t, allocator.SMTIsolate, s.SMT)
	must.Eq(t, 7, s.AvailableCores)
}

func TestStatus_saysWhatIsNotAsItShouldBe(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/reserve/cpuset.cpus"), "2")
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "one", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: time.Hour}.Make(t, dir)
	nodetest.Task{Job: "two", Alloc: allocB, Name: "solve", Cores: []int{1, 2, 99}}.Make(t, dir)
	nodetest.Task{
		Job: "three", Alloc: "a3", Name: "solve", Since: time.Minute,
		Spec: &supervisor.Spec{
			Version: 1, Command: "/bin/true", CPUs: []int{5}, StdoutName: "stdout", StderrName: "stderr",
			Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
		},
	}.Make(t, dir)
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "tasks/a4/solve/1"), 0o700))
	s := statusOf(t, dir, sysfs)
	must.Eq(t, 2, s.Cores[1].Claims)
	must.SliceContains(t, s.Tasks[1].Notes, "shares cpu 1 with two/solve; a running driver moves one of them")
	must.SliceContains(t, s.Tasks[3].Notes, "Nomad has reserved its cpu 2 for another task; a running driver moves it")
	must.SliceContains(t, s.Tasks[3].Notes, "its cpu 99 is offline")
	must.Eq(t, []int{5}, s.Tasks[2].Cores)
	must.StrContains(t, strings.Join(s.Tasks[2].Notes, "\n"), "these are the cores it was started on")
	must.Eq(t, "ended", s.Tasks[0].State)
	out := call(t, "status", "-state-dir", dir, "-sysfs", sysfs).out
	must.StrContains(t, out, "A # C .")
	must.StrContains(t, out, "# claimed by two tasks")
	must.StrContains(t, out, "C: shares cpu 1 with one/solve")
	must.StrContains(t, out, "a4/solve exit status unknown")
}

func TestStatus_doesNotFollowARunFolderThatIsALink(t *testing.T) {
	dir := nodetest.StateDir(t)
	folder := nodetest.Task{Job: "a", Alloc: allocA, Name: "solve", Cores: []int{0}}.Make(t, dir)
	elsewhere := t.TempDir()
	topologytest.WriteFile(t, filepath.Join(elsewhere, "stdout"), nodetest.Solving(5, 1e-2))
	must.NoError(t, os.Remove(folder))
	must.NoError(t, os.Symlink(elsewhere, folder))
	s := statusOf(t, dir, twoSockets.Sysfs(t))
	must.Nil(t, s.Tasks[0].Time)
	must.StrContains(t, s.Tasks[0].Notes[0], "its progress is not known: run folder")
}

func TestStatus_showsNoControlCharactersOfUsers(t *testing.T) {
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "evil\x1b]0;x\a", Alloc: allocA, Name: "so\x1b[2Jlve", Cores: []int{0}, Stdout: "\x1b[31m\n"}.Make(t, dir)
	out := call(t, "status", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t)).out
	must.StrNotContains(t, out, "\x1b")
	must.StrContains(t, out, "evil?]0;x?")
}

func TestStatus_refusesAStateDirThatOthersCanEnter(t *testing.T) {
	dir := nodetest.StateDir(t)
	must.NoError(t, os.Chmod(dir, 0o755))
	r := call(t, "status", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "chmod 0700")
}

func TestStatus_tellsWhoMayReadTheStateDir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := nodetest.StateDir(t)
	must.NoError(t, os.Chown(dir, 65534, 65534))
	r := call(t, "status", "-state-dir", dir, "-status-dir", filepath.Join(dir, "none"))
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "belongs to uid 65534, the agent's user; run this as that user")
}

// Why a task was started again is told from its run folder, by status and by inspect.
func TestStatus_tellsHowEarlierRunsInTheFolderEnded(t *testing.T) {
	dir := nodetest.StateDir(t)
	path := nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	folder, err := rundir.Open(path, ".")
	must.NoError(t, err)
	defer folder.Close()
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.Local)
	ended, code := began.Add(time.Hour), 137
	must.NoError(t, folder.NoteRun(output.PastRun{
		Run: allocA + "/solve/1", Started: began, Began: "starting from the deck", Ended: &ended, Outcome: output.Killed,
		Reason: "ended by signal 9 (SIGKILL): t = 0.003 of 0.01", ExitCode: &code, Signal: 9, Dump: "d3dump01",
	}))
	once := call(t, "status", "-state-dir", dir).out
	must.StrNotContains(t, once, "runs in its folder")
	must.NoError(t, folder.NoteRun(output.PastRun{Run: allocA + "/solve/2", Started: ended, Began: "restarting from d3dump01"}))

	t.Setenv("COLUMNS", "200")
	text := call(t, "status", "-state-dir", dir).out
	const first = "2026-11-28 12:00:00: starting from the deck; ended 2026-11-28 13:00:00, ended by signal 9 (SIGKILL): t = 0.003 of 0.01; newest dump d3dump01\n"
	must.StrContains(t, text, "\nA: runs in its folder\n"+first+"2026-11-28 13:00:00: restarting from d3dump01\n")
	report := statusOf(t, dir, "")
	must.Len(t, 2, report.Tasks[0].LastRuns)
	must.Eq(t, 9, report.Tasks[0].LastRuns[0].Signal)

	must.StrContains(t, call(t, "inspect", path).out, "run of "+first)
	var inspected output.Report
	must.NoError(t, json.Unmarshal([]byte(call(t, "inspect", "-json", path).out), &inspected))
	must.Len(t, 2, inspected.LastRuns)
	must.Nil(t, inspected.LastRuns[1].Ended)
}

// Names of studies and dispatched jobs are long, and so are lists of cores where
// hyper-threads are numbered one by one. The allocation's id stays in 80 columns, and in 40
// a word says what a run does.
func TestStatus_longNamesAndListsInNarrowTerminals(t *testing.T) {
	dir := nodetest.StateDir(t)
	var evens []int
	for cpu := 0; cpu < 32; cpu += 2 {
		evens = append(evens, cpu)
	}
	nodetest.Task{Job: "side-impact-pole-28kmh/dispatch-1764469200-5a6b7c8d", Alloc: allocA, Name: "solve", Cores: evens, Since: 26 * time.Hour, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	nodetest.Task{Job: "waits", Alloc: allocB, Name: "solve", Cores: []int{33}, Since: time.Hour, Nodes: 2, Stdout: nodesWaiting}.Make(t, dir)
	sysfs := topologytest.Of(2, 1, 8, 8, 2).Sysfs(t)
	for width, want := range map[uint16][]string{
		100: {allocA[:8], "16 in 0-30", "40 %", "1m00s", "waiting for nodes"},
		80:  {allocA[:8], "16 in 0-30", "40 %", "1m00s", "waiting for nodes"},
		60:  {"16 in 0-30", "40 %", "1m00s", "waiting for nodes"},
		40:  {"16 CPUs", "40 %", "1m00s", "awaits node"},
	} {
		seen := onTerminal(t, width, 60, func(tty *os.File) {
			must.Eq(t, exitOK, Run(t.Context(), []string{"status", "-sysfs", sysfs, "-state-dir", dir, "-status-dir", ""}, tty, tty))
		})
		for _, text := range want {
			must.StrContains(t, seen, text, must.Sprint(width))
		}
	}
}
