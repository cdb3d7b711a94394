// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// The fabricated worlds below begin with one that is as it should be: a pinned
// run, one without affinity, and an allocation that has ended.
var dawn = time.Unix(1_800_000_000, 0)

func at(seconds int) time.Time { return dawn.Add(time.Duration(seconds) * time.Second) }

func exited(code int) syscall.WaitStatus             { return syscall.WaitStatus(code << 8) }
func signaled(sig syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(sig) }

func goodWorld() *World {
	return &World{
		Usable: []int{0, 1}, Boot: "boot", Asked: at(60),
		Processes: []Process{
			{PID: 10, Parent: 9, Start: 100, Role: Solver, Alloc: "a", CPUs: [][]int{{0}, {0}}},
			{PID: 9, Parent: 1, Start: 99, Role: Supervisor, Alloc: "a"},
			{PID: 20, Parent: 19, Start: 200, Role: Solver, Alloc: "b", CPUs: [][]int{{0, 1}}},
			{PID: 5, Parent: 2, Start: 50, Role: Plugin},
		},
		Records: []Record{
			{Alloc: "a", PID: 10, Start: 100, Boot: "boot", Supervisor: 9, Cores: []int{0}},
			{Alloc: "b", PID: 20, Start: 200, Boot: "boot", Supervisor: 19, Cores: []int{}},
		},
		Allocs: []Alloc{
			{ID: "a", Job: "pinned", Status: "running", Desired: "run", State: "running"},
			{ID: "b", Job: "free", Status: "running", Desired: "run", State: "running"},
			{ID: "c", Job: "past", Status: "complete", Desired: "run", State: "dead", Ends: []End{{At: at(9), Code: 0}}},
		},
		Runs: []Run{
			{Alloc: "c", PID: 30, Start: 30, Exec: at(1), Ended: true, Exit: at(8), Known: true, Status: exited(0), Completed: true},
			{Alloc: "a", PID: 10, Start: 100, Exec: at(2)},
			{Alloc: "b", PID: 20, Start: 200, Exec: at(3)},
		},
		Innocents: []Innocent{{PID: 40, Before: "alive", Now: "alive"}},
		Owners:    map[int]string{0: "pinned"},
	}
}

func TestRules_AcceptAGoodWorld(t *testing.T) {
	must.SliceEmpty(t, Always(goodWorld()))
	must.SliceEmpty(t, Settled(goodWorld()))
}

// Another node's solver may be in a folder before and after ours.
func TestRules_AcceptAFolderThatChangesHands(t *testing.T) {
	w := goodWorld()
	folder := witness.Folder{Dev: 1, Inode: 2}
	w.Runs[0].Folder = folder
	w.Elsewhere = []Run{
		{Alloc: "y", PID: 50, Start: 500, Folder: folder, Exec: at(0), Ended: true, Exit: at(1), Known: true},
		{Alloc: "z", PID: 51, Start: 501, Folder: folder, Exec: at(8)},
		{Alloc: "z", PID: 52, Start: 502, Folder: witness.Folder{Dev: 1, Inode: 3}, Exec: at(5)},
	}
	must.SliceEmpty(t, Always(w))
	must.SliceEmpty(t, Settled(w))
}

// While its folder hangs a task may be anything, but its cores are as they must be.
func TestHung_ExcusesTheTaskAndNotItsCores(t *testing.T) {
	hangs := func(job string) bool { return job == "pinned" }
	gone := func(w *World) { w.Processes = w.Processes[2:] } // with its supervisor
	for _, c := range []struct {
		name  string
		rule  string // "": nothing is found
		spoil func(*World)
	}{
		{"all is well", "", func(*World) {}},
		{"its solver is gone, and its core free", "", func(w *World) { gone(w); w.Owners = map[int]string{} }},
		{"its stop takes its time", "", func(w *World) { w.Allocs[0].Desired = "stop" }},
		{"its solver is gone, and its core not free", NoCoreLeaked, gone},
		{"its solver strays", CoresAsLeased, func(w *World) { w.Processes[0].CPUs[1] = []int{0, 1} }},
		{"it has two solvers", OneSolver, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 11, Start: 300, Role: Solver, Alloc: "a"})
		}},
		{"another has its core", CoresAsLeased, func(w *World) { w.Records[1].Cores, w.Processes[2].CPUs = []int{0}, [][]int{{0}} }},
		{"another runs without a solver", NoneUnknown, func(w *World) { w.Processes = slices.Delete(w.Processes, 2, 3) }},
		{"another leaves a process", NoneLeft, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 32, Role: Helper, Alloc: "c"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWorld()
			c.spoil(w)
			found := Hung(w, hangs)
			if c.rule == "" {
				must.SliceEmpty(t, found)
				return
			}
			must.SliceContainsFunc(t, found, c.rule, func(v Violation, rule string) bool { return v.Rule == rule })
		})
	}
}

func TestRules_FindWhatIsLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   string
		always bool // must never be; else only once settled
		spoil  func(*World)
	}{
		{"an innocent process is gone", Untouched, true, func(w *World) { w.Innocents[0].Now = "gone" }},
		{"two solvers of an allocation live", OneSolver, false, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 11, Start: 300, Role: Solver, Alloc: "a"})
		}},
		{"a solver is executed while another lives", OneSolver, true, func(w *World) {
			w.Runs = append(w.Runs, Run{Alloc: "a", PID: 11, Start: 300, Exec: at(5)})
		}},
		{"a solver is executed before the other has ended", OneSolver, true, func(w *World) {
			w.Runs = append(w.Runs, Run{Alloc: "c", PID: 31, Start: 31, Exec: at(7), Ended: true, Exit: at(8), Known: true, Status: exited(0), Completed: true})
		}},
		{"another job's solver is executed in its folder", OneInFolder, true, func(w *World) {
			w.Runs[1].Folder, w.Runs[2].Folder = witness.Folder{Dev: 1, Inode: 2}, witness.Folder{Dev: 1, Inode: 2}
		}},
		{"another node's solver is executed in its folder", OneInFolder, true, func(w *World) {
			w.Runs[1].Folder = witness.Folder{Dev: 1, Inode: 2}
			w.Elsewhere = []Run{{Alloc: "z", PID: 50, Start: 500, Folder: w.Runs[1].Folder, Exec: at(5)}}
		}},
		{"it is executed in the folder of another node's solver", OneInFolder, true, func(w *World) {
			w.Runs[1].Folder = witness.Folder{Dev: 1, Inode: 2}
			w.Elsewhere = []Run{{Alloc: "z", PID: 50, Start: 500, Folder: w.Runs[1].Folder, Exec: at(1), Ended: true, Exit: at(4), Known: true}}
		}},
		{"a run that nobody asked to end is killed", NoRunLost, true, func(w *World) {
			w.Calm, w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known, w.Runs[1].Status = at(4), true, at(5), true, signaled(syscall.SIGKILL)
		}},
		{"a run that nobody asked to end is terminated", NoRunLost, true, func(w *World) {
			w.Calm, w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known, w.Runs[1].Status = at(4), true, at(5), true, exited(78)
		}},
		{"two tasks have one core", CoresAsLeased, false, func(w *World) {
			w.Records[1].Cores, w.Processes[2].CPUs = []int{0}, [][]int{{0}}
		}},
		{"a thread strays", CoresAsLeased, false, func(w *World) { w.Processes[0].CPUs[1] = []int{0, 1} }},
		{"a helper strays", CoresAsLeased, false, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 12, Role: Helper, Alloc: "a", CPUs: [][]int{{1}}})
		}},
		{"the pid file names another process", CoresAsLeased, false, func(w *World) { w.Records[0].PID = 40 }},
		{"the pid file is of another boot", CoresAsLeased, false, func(w *World) { w.Records[0].Boot = "before" }},
		{"the pid file tells no cores", CoresAsLeased, false, func(w *World) { w.Records[1].Cores = nil }},
		{"a core that is not to be given out", CoresAsLeased, false, func(w *World) {
			w.Usable, w.Owners = []int{1}, nil
		}},
		{"other cores than Nomad reserved", CoresAsLeased, false, func(w *World) { w.Allocs[0].Reserved = []int{1} }},
		{"status names a wrong owner", CoresAsLeased, false, func(w *World) { w.Owners[0] = "free" }},
		{"status shows a free core as taken", NoCoreLeaked, false, func(w *World) { w.Owners[1] = "past" }},
		{"a process of an ended allocation", NoneLeft, false, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 32, Role: Helper, Alloc: "c"})
		}},
		{"a supervisor of an ended allocation", NoneLeft, false, func(w *World) {
			w.Processes = append(w.Processes, Process{PID: 32, Role: Supervisor, Alloc: "c"})
		}},
		{"a solver of an allocation that Nomad does not have", NoneLeft, false, func(w *World) { w.Allocs = w.Allocs[1:] }},
		{"a running task without a solver", NoneUnknown, false, func(w *World) { w.Processes = w.Processes[1:] }},
		{"a live solver of a task that waits", NoneUnknown, false, func(w *World) { w.Allocs[0].State = "pending" }},
		{"a stopped job runs on", NoneUnknown, false, func(w *World) { w.Allocs[0].Desired = "stop" }},
		{"an end that Nomad did not hear of", NoEndMissed, false, func(w *World) {
			w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known = true, at(4), true
		}},
		{"complete without a success", NoneInvented, false, func(w *World) { w.Allocs[2].Ends = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWorld()
			c.spoil(w)
			found := Settled(w)
			if c.always {
				found = Always(w)
			}
			must.SliceContainsFunc(t, found, c.rule, func(v Violation, rule string) bool { return v.Rule == rule })
		})
	}
}

func TestRules_LetRunsEndOnRequest(t *testing.T) {
	for name, excuse := range map[string]func(*World){
		"killed by the campaign": func(w *World) { w.Runs[1].Killed = true },
		"job stopped":            func(w *World) { w.Allocs[0].Desired = "stop" },
		"given up by Nomad":      func(w *World) { w.Allocs[0].Events = []string{"Setup Failure: failed to setup alloc: pre-run hook"} },
		"just begun":             func(w *World) { w.Calm = at(1) },
		"begun and ended before": func(w *World) { w.Calm = at(6) },
		"by its own fault":       func(w *World) { w.Runs[1].Status = signaled(syscall.SIGSEGV) },
	} {
		t.Run(name, func(t *testing.T) {
			w := goodWorld()
			w.Calm, w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known, w.Runs[1].Status = at(4), true, at(5), true, signaled(syscall.SIGKILL)
			excuse(w)
			must.SliceEmpty(t, Always(w))
		})
	}
}

// Nomad ends a task that it gives up before its server hears of that: nobody is blamed
// by what the server said before, and the world has not settled.
func TestRules_JudgeAnEndByWhatNomadSaysLater(t *testing.T) {
	for name, c := range map[string]struct {
		asked, up, newest time.Time
		judged            bool
	}{
		"asked before the end":                     {asked: at(4)},
		"asked at once":                            {asked: at(6)},
		"asked at once, and an event is newer":     {asked: at(6), newest: at(6), judged: true},
		"asked at once, and the events are older":  {asked: at(6), newest: at(4)},
		"asked later":                              {asked: at(30), newest: at(4), judged: true},
		"asked later, of a client that was down":   {asked: at(30), up: at(29)},
		"asked later, of a client that has had it": {asked: at(60), up: at(29), judged: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := goodWorld()
			w.Calm, w.Asked, w.Up = at(4), c.asked, c.up
			w.Allocs[0].Newest = c.newest
			w.Runs[1].Ended, w.Runs[1].Exit, w.Runs[1].Known, w.Runs[1].Status = true, at(5), true, signaled(syscall.SIGKILL)
			lost := func(v Violation) bool { return v.Rule == NoRunLost }
			must.Eq(t, c.judged, slices.ContainsFunc(Always(w), lost))
			must.Eq(t, !c.judged, slices.ContainsFunc(Settled(w), lost))

			w.Allocs[0].Events = []string{"Setup Failure: failed to setup alloc: pre-run hook"}
			must.False(t, slices.ContainsFunc(append(Always(w), Settled(w)...), lost))
		})
	}
}

func TestJudge(t *testing.T) {
	run := func(status syscall.WaitStatus, change ...func(*Run)) Run {
		r := Run{Alloc: "a", PID: 10, Exec: at(1), Ended: true, Exit: at(8), Known: true, Status: status}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	completed := func(r *Run) { r.Completed = true }
	orphan := func(r *Run) { r.SupervisorKilled = at(4) }
	late := func(r *Run) { r.SupervisorKilled = at(9) }
	spoiled := func(r *Run) { r.Spoiled = true }
	half := func(r *Run) { r.SupervisorUnseen = true }
	unseen := func(r *Run) { r.Known = false }
	for _, c := range []struct {
		name    string
		run     Run
		end     End
		desired string
		wrong   bool
	}{
		{name: "success", run: run(exited(0), completed)},
		{name: "unknown, of a supervisor that the kernel's account lacks", run: run(exited(0), half), end: End{Code: -1}},
		{name: "another exit code, of such a supervisor", run: run(exited(23), half), end: End{Code: 1}, wrong: true},
		{name: "success that LS-DYNA does not confirm", run: run(exited(0)), wrong: true},
		{name: "exit 0 without a normal end", run: run(exited(0)), end: End{Code: 1}},
		{name: "a success told as a failure", run: run(exited(0), completed), end: End{Code: 1}, wrong: true},
		{name: "a success while being stopped", run: run(exited(0), completed), end: End{Code: 1}, desired: "stop"},
		{name: "exit code", run: run(exited(23)), end: End{Code: 23}},
		{name: "another exit code", run: run(exited(23)), end: End{Code: 1}, wrong: true},
		{name: "a failure told as a success", run: run(exited(23), completed), wrong: true},
		{name: "signal", run: run(signaled(syscall.SIGKILL)), end: End{Code: 137, Signal: 9}},
		{name: "signal without its number", run: run(signaled(syscall.SIGKILL)), end: End{Code: 137}, wrong: true},
		{name: "signal told as success", run: run(signaled(syscall.SIGKILL), completed), wrong: true},
		{name: "unknown after the supervisor was killed", run: run(exited(0), completed, orphan), end: End{Code: -1}},
		{name: "known although the supervisor was killed", run: run(exited(0), completed, orphan), wrong: true},
		{name: "right by chance", run: run(exited(23), orphan), end: End{Code: 23}, wrong: true},
		{name: "supervisor killed after the end, known", run: run(exited(23), late), end: End{Code: 23}},
		{name: "supervisor killed after the end, unknown", run: run(exited(23), late), end: End{Code: -1}},
		{name: "supervisor killed after the end, invented", run: run(exited(23), late), wrong: true},
		{name: "unknown without a reason", run: run(exited(23)), end: End{Code: -1}, wrong: true},
		{name: "unknown with spoiled records", run: run(exited(23), spoiled), end: End{Code: -1}},
		{name: "a success told as a failure with spoiled records", run: run(exited(0), completed, spoiled), end: End{Code: 1}, wrong: true},
		{name: "invented with spoiled records", run: run(exited(23), spoiled), end: End{Code: 0}, wrong: true},
		{name: "the kernel's word was lost", run: run(0, unseen), end: End{Code: 23}},
		{name: "the kernel's word was lost, success not confirmed", run: run(0, unseen), wrong: true},
		{name: "still alive", run: Run{Alloc: "a", Exec: at(1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.desired == "" {
				c.desired = "run"
			}
			why := judge(c.end, &c.run, &Alloc{ID: "a", Desired: c.desired})
			must.Eq(t, c.wrong, why != "", must.Sprint(why))
		})
	}
}

// Client and plugin were killed in the start of a task's next run.
func TestRunOf(t *testing.T) {
	w := &World{Runs: []Run{
		{Alloc: "a", PID: 1, Exec: at(1), Ended: true, Known: true, Exit: at(5)},
		{Alloc: "a", PID: 2, Exec: at(7), Ended: true, Known: true, Exit: at(20)},
	}}
	for told, pid := range map[int]int{6: 1, 8: 1, 21: 2} {
		r := runOf(w, &Alloc{ID: "a"}, End{At: at(told)})
		must.NotNil(t, r)
		must.Eq(t, pid, r.PID, must.Sprint(told))
	}
	w.Runs[1].Ended, w.Runs[1].Known = false, false
	must.Eq(t, 2, runOf(w, &Alloc{ID: "a"}, End{At: at(8)}).PID, must.Sprint("nobody knows yet"))
}

func TestRules_UnknownOnlyAfterItWasTold(t *testing.T) {
	unknown := End{At: at(20), Code: -1}
	w := goodWorld()
	w.Allocs[2].Ends = append(w.Allocs[2].Ends, unknown)
	must.SliceEmpty(t, Always(w))
	w.Allocs[2].Ends = []End{unknown}
	must.Len(t, 1, Always(w))
}

func TestRunOf_TakesTheLastThatBeganBefore(t *testing.T) {
	w := &World{Runs: []Run{{Alloc: "a", PID: 1, Exec: at(1)}, {Alloc: "b", PID: 2, Exec: at(2)}, {Alloc: "a", PID: 3, Exec: at(5)}}}
	a := &Alloc{ID: "a"}
	must.Eq(t, 1, runOf(w, a, End{At: at(4)}).PID)
	must.Eq(t, 3, runOf(w, a, End{At: at(6)}).PID)
	must.Nil(t, runOf(w, a, End{At: at(0)}))
}

func TestLeaked(t *testing.T) {
	before := goodWorld() // core 1 is free
	fresh := func(cores []int, reserved []int) *World {
		w := goodWorld()
		w.Allocs = append(w.Allocs, Alloc{ID: "d", Job: "fresh", Reserved: reserved})
		w.Runs = append(w.Runs, Run{Alloc: "d", PID: 50, Start: 500, Exec: at(10)})
		w.Processes = append(w.Processes, Process{PID: 50, Start: 500, Role: Solver, Alloc: "d"})
		w.Records = append(w.Records, Record{Alloc: "d", PID: 50, Start: 500, Boot: "boot", Cores: cores})
		return w
	}
	for _, c := range []struct {
		name  string
		after *World
		asked int
		leak  bool
	}{
		{"got the free core", fresh([]int{1}, nil), 1, false},
		{"without affinity beside a free core", fresh([]int{}, nil), 1, true},
		{"asked for more than was free", fresh([]int{}, nil), 2, false},
		{"Nomad's cores", fresh([]int{}, []int{1}), 1, false},
		{"a job that is not ours", fresh([]int{}, nil), 0, false},
		{"nothing new", goodWorld(), 1, false},
		{"Nomad withholds what is free", func() *World {
			w := fresh([]int{}, nil)
			w.Withheld = []int{1}
			return w
		}(), 1, false},
		{"Nomad may not have given a core back yet", func() *World {
			w := fresh([]int{}, nil)
			w.Allocs[0].Reserved, w.Allocs[0].Status = []int{1}, "complete"
			return w
		}(), 1, false},
		{"Nomad reserved a core for a start that failed", func() *World {
			w := fresh([]int{}, nil)
			w.Allocs = append(w.Allocs, Alloc{ID: "e", Job: "reserved", Reserved: []int{1}, Status: "failed"})
			return w
		}(), 1, false},
		{"a task whose record was lost took it", func() *World {
			w := fresh([]int{}, nil)
			w.Records[1].Cores = []int{1}
			return w
		}(), 1, false},
		{"Nomad's cores were given back before", func() *World {
			w := fresh([]int{}, nil)
			w.Allocs[2].Reserved = []int{1}
			return w
		}(), 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Leaked(before, c.after, map[string]int{"fresh": c.asked})
			must.Eq(t, c.leak, len(found) > 0, must.Sprint(found))
		})
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{"": {}, "0": {0}, "0-2,5\n": {0, 1, 2, 5}, "3,1": {1, 3}} {
		got, err := parseCPUs(list)
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(list))
	}
	for _, list := range []string{"x", "1-x", "-"} {
		_, err := parseCPUs(list)
		must.Error(t, err, must.Sprint(list))
	}
}

func TestRecord_ReadsThePidFile(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       Record
	}{
		{"whole", "12\n{\"cores\":[0,1],\"start_time\":5,\"boot_id\":\"b\",\"supervisor_pid\":11}\n", Record{PID: 12, Start: 5, Boot: "b", Supervisor: 11, Cores: []int{0, 1}}},
		{"without affinity", "12\n{\"cores\":[]}\n", Record{PID: 12, Cores: []int{}}},
		{"first line only", "12\n", Record{PID: 12}},
		{"cut", "12\n{\"cores\":[0,", Record{PID: 12}},
		{"garbage", "\x00\xff", Record{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Record
			r.parse([]byte(c.data))
			must.Eq(t, c.want, r)
		})
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("12\n{\"cores\":[0,1]}\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { new(Record).parse(data) })
}

func TestFree_CountsOnlyLiveSolvers(t *testing.T) {
	w := goodWorld()
	must.Eq(t, []int{1}, w.Free())
	w.Processes = slices.Delete(w.Processes, 0, 1)
	must.Eq(t, []int{0, 1}, w.Free())
}

func TestKept(t *testing.T) {
	nobody := func(Process) bool { return false }
	moved := func(change ...func(*World)) *World {
		w := goodWorld()
		w.Records[0].Cores = []int{1}
		for _, f := range change {
			f(w)
		}
		return w
	}
	for _, c := range []struct {
		name     string
		after    *World
		tampered func(Process) bool
		lost     bool
	}{
		{"the same", goodWorld(), nobody, false},
		{"other cores", moved(), nobody, true},
		{"none", moved(func(w *World) { w.Records[0].Cores = []int{} }), nobody, true},
		{"the campaign changed its records", moved(), func(p Process) bool { return p.Alloc == "a" }, false},
		{"the campaign changed another's records", moved(), func(p Process) bool { return p.Alloc == "b" }, true},
		{"Nomad reserved cores anew", moved(func(w *World) {
			w.Allocs = append(w.Allocs, Alloc{ID: "d", Reserved: []int{0}, State: "running"})
		}), nobody, false},
		{"Nomad had reserved cores before", moved(func(w *World) { w.Allocs[1].Reserved = []int{5} }), nobody, true},
		{"Nomad took them before, and its record could not be written", moved(func(w *World) {
			w.Allocs[0].Events = []string{"Driver: Running without affinity: lost core 0 (reserved by Nomad for another task), and 1 core asked, 0 free"}
			w.Allocs[1].Reserved = []int{0}
		}), nobody, false},
		{"Nomad is said to have taken them", moved(func(w *World) {
			w.Allocs[0].Events = []string{"Driver: Running without affinity: lost core 0 (reserved by Nomad for another task), and 1 core asked, 0 free"}
		}), nobody, true},
		{"another solver of the task", moved(func(w *World) { w.Processes[0].Start, w.Records[0].Start = 900, 900 }), nobody, false},
		{"cores for one that had none", func() *World {
			w := goodWorld()
			w.Records[1].Cores = []int{1}
			return w
		}(), nobody, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Kept(goodWorld(), c.after, c.tampered)
			must.Eq(t, c.lost, len(found) > 0, must.Sprint(found))
		})
	}
}
