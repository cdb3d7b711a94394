// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Unpinned finds runs without affinity although as many cores are free as they ask for.
// asked has the cores that each job wants. Cores that Nomad withholds are not the
// driver's to give out, and it does not choose the cores of a task that Nomad reserved
// some for.
func Unpinned(w *World, asked map[string]int) []Violation {
	var f findings
	free := slices.DeleteFunc(w.Free(), func(core int) bool { return slices.Contains(w.Withheld, core) })
	for _, p := range w.Processes {
		r, a := w.RecordOf(p), w.alloc(p.Alloc)
		if p.Role != Solver || r == nil || r.Cores == nil || len(r.Cores) > 0 || a == nil || len(a.Reserved) > 0 {
			continue
		}
		if n := asked[a.Job]; n > 0 && n <= len(free) {
			f.add(CoresGiven, "solver %d of allocation %.8s (%s) asks for %d, runs without affinity, and cores %v are free", p.PID, p.Alloc, a.Job, n, free)
		}
	}
	return f
}

// Leaked finds runs without affinity although there were cores for them: begun
// between two settled worlds, and with fewer cores asked than had been free before.
// asked has the cores that each job wants.
func Leaked(before, after *World, asked map[string]int) []Violation {
	var f findings
	old := map[string]bool{}
	for i := range before.Runs {
		old[fmt.Sprint(before.Runs[i].PID, " ", before.Runs[i].Start)] = true
	}
	if reservationsChanged(before, after) {
		return nil
	}
	wanted := gained(before, after)
	for i := range after.Runs {
		r := &after.Runs[i]
		if old[fmt.Sprint(r.PID, " ", r.Start)] {
			continue
		}
		a := after.alloc(r.Alloc)
		if a == nil || len(a.Reserved) > 0 || asked[a.Job] == 0 {
			return nil // whatever it took was not the driver's to decide
		}
		wanted += asked[a.Job]
	}
	free := slices.DeleteFunc(before.Free(), func(core int) bool {
		return slices.Contains(before.Withheld, core) || slices.Contains(after.Withheld, core)
	})
	if wanted > len(free) {
		return nil
	}
	for _, p := range after.Processes {
		r := after.RecordOf(p)
		if p.Role == Solver && r != nil && len(r.Cores) == 0 && !old[fmt.Sprint(p.PID, " ", p.Start)] {
			f.add(NoCoreLeaked, "solver %d of allocation %.8s runs without affinity, and cores %v had been free", p.PID, p.Alloc, free)
		}
	}
	return f
}

// gained counts the cores that solvers have now which ran without them before: a
// task whose record is lost gets back what the driver state says it began with.
func gained(before, after *World) int {
	cores := 0
	for _, p := range before.Processes {
		was, is := before.RecordOf(p), after.RecordOf(p)
		if p.Role == Solver && was != nil && is != nil {
			cores += max(len(is.Cores)-len(was.Cores), 0)
		}
	}
	return cores
}

// reservationsChanged tells whether Nomad reserved cores, or may have given some
// back, since the first world: it takes its time for either, also where the start
// failed.
func reservationsChanged(before, after *World) bool {
	return slices.ContainsFunc(after.Allocs, func(a Alloc) bool {
		was := before.alloc(a.ID)
		return len(a.Reserved) > 0 && (was == nil || !was.Over() || !a.Over())
	})
}

// Kept finds live solvers that have other cores than in the settled world before,
// although nobody may take them: Nomad has reserved none anew meanwhile, and had not
// taken them before, while the record could not be written. tampered tells whether the
// campaign had its hands in this solver's records.
func Kept(before, after *World, tampered func(Process) bool) []Violation {
	var f findings
	anew := slices.ContainsFunc(after.Allocs, func(a Alloc) bool {
		was := before.alloc(a.ID)
		return len(a.Reserved) > 0 && (was == nil || was.State != "running")
	})
	if anew {
		return nil
	}
	for _, p := range before.Processes {
		was, is := before.RecordOf(p), after.RecordOf(p)
		lives := slices.ContainsFunc(after.Processes, func(q Process) bool { return q.PID == p.PID && q.Start == p.Start })
		if p.Role != Solver || !lives || was == nil || is == nil || len(was.Cores) == 0 || tampered(p) {
			continue
		}
		if !slices.Equal(sorted(was.Cores), sorted(is.Cores)) && !toldTaken(after, p.Alloc, was.Cores) {
			f.add(CoresKept, "solver %d of allocation %.8s had cores %v and has %v", p.PID, p.Alloc, was.Cores, is.Cores)
		}
	}
	return f
}

// toldTaken tells whether the driver said that Nomad reserved a run's cores for another
// task, and Nomad did.
func toldTaken(w *World, alloc string, cores []int) bool {
	lost := "lost " + allocator.Name(cpuset.Of(cores...)) + " (reserved by Nomad"
	told := slices.ContainsFunc(w.Allocs, func(a Alloc) bool {
		return a.ID == alloc && slices.ContainsFunc(a.Events, func(e string) bool { return strings.Contains(e, lost) })
	})
	return told && slices.ContainsFunc(w.Allocs, func(a Alloc) bool {
		return a.ID != alloc && slices.ContainsFunc(cores, func(core int) bool { return slices.Contains(a.Reserved, core) })
	})
}
