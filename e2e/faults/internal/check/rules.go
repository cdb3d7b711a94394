// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// A Violation says which rule is broken, and by what.
type Violation struct {
	Rule     string
	Evidence string
}

func (v Violation) String() string { return v.Rule + ": " + v.Evidence }

type findings []Violation

func (f *findings) add(rule, format string, args ...any) {
	*f = append(*f, Violation{rule, fmt.Sprintf(format, args...)})
}

// The rules, as they are named in reports.
const (
	OneSolver     = "at most one solver per allocation and task"
	OneInFolder   = "at most one solver per run folder"
	NoneInvented  = "no exit status invented"
	Untouched     = "innocent processes untouched"
	CoresAsLeased = "leases disjoint and equal to the kernel's masks"
	NoCoreLeaked  = "no core leaked"
	CoresKept     = "a running task keeps its cores"
	NoneLeft      = "no process left behind"
	NoneUnknown   = "no task unknown"
	NoEndMissed   = "every end reported"
	NoRunLost     = "no live run lost"
	OthersLive    = "a folder that hangs holds up its own task only"
	CoresGiven    = "a task without affinity gets cores that are free"
	GoesOn        = "a run goes on from its newest dump"
	DumpTaken     = "a dump that is asked for is written and told"
	ResultsStay   = "results of a completed run stay as they are"
	Managed       = "a run is managed as soon as it can be"
	ToldTrue      = "what has happened is told as that, once"
)

// Always returns what must not be at any moment.
func Always(w *World) []Violation {
	var f findings
	for _, i := range w.Innocents {
		if i.Now != i.Before {
			f.add(Untouched, "process %d was %q and is %q", i.PID, i.Before, i.Now)
		}
	}
	oneAtATime(w, &f)
	oneInFolder(w, &f)
	lost(w, &f)
	goesOn(w, &f)
	resultsStay(w, &f)
	for i := range w.Allocs {
		a := &w.Allocs[i]
		told := map[*Run]bool{}
		for _, e := range a.Ends {
			r := runOf(w, a, e)
			// A client that forgot the end asks again, after it had the record destroyed.
			again := told[r] && (e.Code == -1 || w.Gaps > 0)
			told[r] = true
			if why := judge(e, r, a); why != "" && !again {
				f.add(NoneInvented, "allocation %.8s (%s): %s", a.ID, a.Job, why)
			}
		}
	}
	return f
}

// oneAtATime compares the lives of an allocation's solvers by the kernel's clock.
func oneAtATime(w *World, f *findings) {
	for i := range w.Runs {
		for j := range w.Runs[i+1:] {
			a, b := &w.Runs[i], &w.Runs[i+1+j]
			if a.Alloc == b.Alloc && a.livedAtExecOf(b) {
				f.add(OneSolver, "%s was alive when %s was executed", a, b)
			}
		}
	}
}

// oneInFolder does the same for a folder's solvers, on whatever node they are.
func oneInFolder(w *World, f *findings) {
	all := slices.Concat(w.Runs, w.Elsewhere)
	slices.SortStableFunc(all, func(a, b Run) int { return a.Exec.Compare(b.Exec) })
	for i := range all {
		for j := range all[i+1:] {
			a, b := &all[i], &all[i+1+j]
			if a.Folder == b.Folder && a.Folder != (witness.Folder{}) && a.Alloc != b.Alloc && a.livedAtExecOf(b) {
				f.add(OneInFolder, "%s was alive there when %s was executed", a, b)
			}
		}
	}
}

// lost finds runs that the driver ended though nobody had asked for it, by a view of
// Nomad that is newer than the end.
func lost(w *World, f *findings) {
	for _, r := range ended(w) {
		if a := w.alloc(r.Alloc); w.newerThan(a, r.Exit) {
			f.add(NoRunLost, "%s, which nobody had asked for: job %s is to run (%s): %q", r, a.Job, a.Status, a.Events)
		}
	}
}

// doubtful finds those for which Nomad's reason may still be under way. The world has
// not settled before that is known.
func doubtful(w *World, f *findings) {
	for _, r := range ended(w) {
		if a := w.alloc(r.Alloc); !w.newerThan(a, r.Exit) {
			f.add(NoRunLost, "%s, and nothing that Nomad tells of job %s is newer", r, a.Job)
		}
	}
}

// ended returns the runs that the driver ended and for which Nomad tells no reason. One
// that is just being started may be: Nomad starts it again when the plugin dies.
func ended(w *World) (runs []*Run) {
	for i := range w.Runs {
		r := &w.Runs[i]
		a := w.alloc(r.Alloc)
		judged := r.Ended && r.Exit.Before(w.Calm)
		if !r.Ended || !r.Known || r.Killed || judged || a == nil || a.Desired != "run" || a.GivenUp() || r.Exec.After(w.Calm) {
			continue
		}
		const onSIGTERM = 78 // what the stand-in exits with then, as LS-DYNA does
		sig := syscall.Signal(0)
		if r.Status.Signaled() {
			sig = r.Status.Signal()
		}
		if sig == syscall.SIGKILL || sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == 0 && r.Status.ExitStatus() == onSIGTERM || r.Switched {
			runs = append(runs, r)
		}
	}
	return runs
}

// runOf finds the run that an end is about: the last that began before it and did not
// live on. A client that was killed in a start asks for the run before that one again.
func runOf(w *World, a *Alloc, e End) *Run {
	const later = time.Second // by two clocks
	for i := len(w.Runs) - 1; i >= 0; i-- {
		r := &w.Runs[i]
		if livedOn := r.Ended && r.Known && r.Exit.After(e.At.Add(later)); r.Alloc == a.ID && r.Exec.Before(e.At) && !livedOn {
			return r
		}
	}
	return nil
}

// judge holds what Nomad was told of an end against the kernel's account, and
// says what is wrong with it, "" for nothing.
func judge(e End, r *Run, a *Alloc) string {
	told := fmt.Sprintf("told exit code %d, signal %d (%s)", e.Code, e.Signal, e.Words)
	switch {
	case r == nil || !r.Ended:
		return "" // not our witness's fault, or not yet
	case e.Code == -1:
		// A supervisor that is killed in the moment of the solver's end may not have
		// written it down.
		if !r.SupervisorKilled.IsZero() || r.SupervisorUnseen || r.Spoiled || !r.Known {
			return ""
		}
		return fmt.Sprintf("%s: unknown, but the supervisor of %s saw its end", told, r)
	case r.orphaned():
		return fmt.Sprintf("%s, but nobody can know: the supervisor of %s was killed before", told, r)
	case !r.Known:
		if e.Code == 0 && !r.Completed {
			return told + ", but LS-DYNA does not say that it completed"
		}
		return ""
	case r.Status.Signaled():
		if sig := int(r.Status.Signal()); e.Code != 128+sig || e.Signal != sig {
			return fmt.Sprintf("%s, but %s", told, r)
		}
		return ""
	case r.Status.ExitStatus() != 0:
		if e.Code != r.Status.ExitStatus() || e.Signal != 0 {
			return fmt.Sprintf("%s, but %s", told, r)
		}
		return ""
	}
	switch {
	case e.Code == 0 && !r.Completed:
		return told + ", but LS-DYNA does not say that it completed"
	case e.Code != 0 && r.Completed && a.Desired == "run" && !r.Killed:
		return fmt.Sprintf("%s, but %s and completed", told, r)
	case e.Code != 0 && e.Code != 1 || e.Signal != 0:
		return fmt.Sprintf("%s, but %s", told, r)
	}
	return ""
}

// Settled returns what must not be once the world had the time to settle.
func Settled(w *World) []Violation {
	var f findings
	for i := range w.Allocs {
		a := &w.Allocs[i]
		tasksAndSolvers(w, a, &f)
		endsReported(w, a, &f)
	}
	for _, p := range w.Processes {
		if p.Role != Plugin && w.alloc(p.Alloc) == nil {
			f.add(NoneLeft, "%s %d (%s) of allocation %q, which Nomad does not have", p.Role, p.PID, p.Words, p.Alloc)
		}
	}
	doubtful(w, &f)
	masks(w, &f)
	disjoint(w, &f)
	owners(w, &f)
	return f
}

// Hung returns what must not be while the run folders of some jobs hang: of those
// nothing is asked but one solver and its own cores.
func Hung(w *World, hangs func(job string) bool) []Violation {
	others := *w
	others.Allocs = slices.DeleteFunc(slices.Clone(w.Allocs), func(a Alloc) bool { return hangs(a.Job) })
	others.Processes = slices.DeleteFunc(slices.Clone(w.Processes), func(p Process) bool {
		a := w.alloc(p.Alloc)
		return a != nil && hangs(a.Job)
	})
	others.Owners = nil // of cores that these have, too
	var all findings
	for i := range w.Allocs {
		if solvers := w.Solvers(w.Allocs[i].ID); len(solvers) > 1 {
			all.add(OneSolver, "allocation %.8s (%s) has %v", w.Allocs[i].ID, w.Allocs[i].Job, solvers)
		}
	}
	masks(w, &all)
	disjoint(w, &all)
	owners(w, &all)
	return append(all, Settled(&others)...)
}

// tasksAndSolvers: where Nomad says "running" there is a solver, and nowhere else.
func tasksAndSolvers(w *World, a *Alloc, f *findings) {
	solvers := w.Solvers(a.ID)
	switch {
	case len(solvers) > 1:
		f.add(OneSolver, "allocation %.8s (%s) has %v", a.ID, a.Job, solvers)
	case a.Over() || a.State == "dead":
		for _, p := range w.Processes {
			if p.Alloc == a.ID {
				f.add(NoneLeft, "%s %d (%s) of allocation %.8s (%s), which is %s", p.Role, p.PID, p.Words, a.ID, a.Job, a.Status)
			}
		}
		if !a.Over() {
			f.add(NoneUnknown, "allocation %.8s (%s): the task is dead and the allocation %s", a.ID, a.Job, a.Status)
		}
	case a.State == "running" && a.Status == "running" && len(solvers) == 0:
		f.add(NoneUnknown, "allocation %.8s (%s) runs without a solver", a.ID, a.Job)
	case a.State != "running" && len(solvers) == 1:
		f.add(NoneUnknown, "solver %d of allocation %.8s (%s) lives, and the task is %q", solvers[0].PID, a.ID, a.Job, a.State)
	case a.State != "running" || a.Status != "running":
		f.add(NoneUnknown, "allocation %.8s (%s) is %s, its task %q", a.ID, a.Job, a.Status, a.State)
	case a.Desired != "run":
		f.add(NoneUnknown, "allocation %.8s (%s) is to %s and runs", a.ID, a.Job, a.Desired)
	}
}

// endsReported: whatever ended by the kernel's account, Nomad heard of it.
func endsReported(w *World, a *Alloc, f *findings) {
	var last *Run
	for i := range w.Runs {
		if w.Runs[i].Alloc == a.ID {
			last = &w.Runs[i]
		}
	}
	if last != nil && last.Ended && !a.Over() && !slices.ContainsFunc(a.Ends, func(e End) bool { return runOf(w, a, e) == last }) {
		f.add(NoEndMissed, "%s, and allocation %s (%s) is %s", last, a.ID, a.Job, a.Status)
	}
	succeeded := slices.ContainsFunc(a.Ends, func(e End) bool { return e.Code == 0 })
	if a.Status == "complete" && a.Desired == "run" && !succeeded {
		f.add(NoneInvented, "allocation %.8s (%s) is complete without a task that succeeded: %q", a.ID, a.Job, a.Events)
	}
}

// masks: the kernel binds every thread to what the pid file says.
func masks(w *World, f *findings) {
	for _, p := range w.Processes {
		if p.Role != Solver {
			continue
		}
		r := w.RecordOf(p)
		if r == nil || r.Cores == nil {
			f.add(CoresAsLeased, "solver %d of allocation %.8s has no pid file that names it and its cores", p.PID, p.Alloc)
			continue
		}
		for _, cpus := range p.CPUs {
			if len(r.Cores) > 0 && !slices.Equal(cpus, sorted(r.Cores)) {
				f.add(CoresAsLeased, "a thread of solver %d of allocation %.8s is bound to %v, the pid file says %v", p.PID, p.Alloc, cpus, r.Cores)
			}
		}
		if a := w.alloc(p.Alloc); a != nil && len(a.Reserved) > 0 && !slices.Equal(sorted(r.Cores), sorted(a.Reserved)) {
			f.add(CoresAsLeased, "Nomad reserved %v for allocation %.8s, its pid file says %v", a.Reserved, p.Alloc, r.Cores)
		}
		for _, h := range w.Processes {
			for _, cpus := range h.CPUs {
				if h.Role == Helper && h.Alloc == p.Alloc && len(r.Cores) > 0 && !within(cpus, r.Cores) {
					f.add(CoresAsLeased, "process %d (%s) of allocation %.8s is bound to %v, the pid file says %v", h.PID, h.Words, p.Alloc, cpus, r.Cores)
				}
			}
		}
	}
}

// disjoint: no core has two owners, and each is one that may be given out.
func disjoint(w *World, f *findings) {
	owner := map[int]Process{}
	for _, p := range w.Processes {
		r := w.RecordOf(p)
		if p.Role != Solver || r == nil {
			continue
		}
		for _, core := range r.Cores {
			if other, taken := owner[core]; taken {
				f.add(CoresAsLeased, "core %d belongs to solver %d (allocation %.8s) and to solver %d (allocation %.8s)", core, other.PID, other.Alloc, p.PID, p.Alloc)
			}
			if !slices.Contains(w.Usable, core) {
				f.add(CoresAsLeased, "core %d of solver %d (allocation %.8s) is not one of %v", core, p.PID, p.Alloc, w.Usable)
			}
			owner[core] = p
		}
	}
}

// owners: the operator is shown what the kernel does.
func owners(w *World, f *findings) {
	if w.Owners == nil {
		return
	}
	want := map[int]string{}
	for _, p := range w.Processes {
		if a, r := w.alloc(p.Alloc), w.RecordOf(p); p.Role == Solver && a != nil && r != nil {
			for _, core := range r.Cores {
				want[core] = a.Job
			}
		}
	}
	for _, core := range w.Usable {
		switch got := w.Owners[core]; {
		case got == want[core]:
		case want[core] == "":
			f.add(NoCoreLeaked, "status says that core %d is job %s's, and it is free", core, got)
		default:
			f.add(CoresAsLeased, "status says that core %d is job %q's, and it is job %q's", core, got, want[core])
		}
	}
}
