// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package mistakes has the mutants of the driver that a campaign must find.
package mistakes

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// A Mistake is one of them.
type Mistake struct {
	Name  string
	Rule  string // that a campaign must find broken
	Fault string // that brings the mistake out, "" for any
	Job   string // kind of job that does, "" for any
	Edits []mutant.Edit
}

// Mutant is what the driver is built with.
func (m Mistake) Mutant() mutant.Mutant { return mutant.Mutant{Name: m.Name, Edits: m.Edits} }

// All are all there are.
var All = []Mistake{
	{
		Name: "leaks a core at a task's end", Rule: check.NoCoreLeaked, Fault: "kill solver",
		Edits: []mutant.Edit{mutant.Drop("(*Binder).Release", "b.cores.alloc.Release(b.run.Owner)")},
	},
	{
		Name: "starts a second solver beside a live one", Rule: check.OneSolver, Fault: "kill both in start", Job: "ok",
		Edits: []mutant.Edit{
			mutant.Always("(*start).endPredecessors", "if h.IsGone() || h.AwaitStop(s.d.ctx)"),
			mutant.Replace("(*start).endPredecessors", "s.endLeftovers()", "nil"),
			mutant.Begin("(*start).awaitLeaving", "return nil"),
		},
	},
	{
		Name: "invents exit code 0", Rule: check.NoneInvented, Fault: "kill supervisor",
		Edits: []mutant.Edit{
			mutant.Replace("verdict.Result", "r.ExitCode = -1", "r.ExitCode = 0\nreturn r"),
		},
	},
	{
		Name: "forgets the signal that ended a solver", Rule: check.NoneInvented, Fault: "kill solver",
		Edits: []mutant.Edit{mutant.Replace("verdict.Result", "r.ExitCode = 128 + exit.Signal", "r.ExitCode, r.Signal = 1, 0")},
	},
	{
		Name: "believes an exit code of 0", Rule: check.NoneInvented, Fault: "kill plugin", Job: "error",
		Edits: []mutant.Edit{mutant.Always("verdict.Result", "o.Success()")},
	},
	{
		Name: "binds to cores that it did not lease", Rule: check.CoresAsLeased, Fault: "kill plugin", Job: "ok",
		Edits: []mutant.Edit{mutant.SetField("(*supervisor).preparePlace", "CPUs", "nil"), mutant.Replace("(*Binder).repairDrift", "b.findDrift(lease, look)", "[]string(nil)")},
	},
	{
		Name: "repairs no affinity", Rule: check.CoresAsLeased, Fault: "foreign affinity",
		Edits: []mutant.Edit{mutant.Replace("(*Binder).repairDrift", "b.findDrift(lease, look)", "[]string(nil)")},
	},
	{
		Name: "forgets cores over a restart", Rule: check.CoresKept, Fault: "kill both in start", Job: "ok",
		Edits: []mutant.Edit{mutant.Drop("(*Binder).Adopt", `b.claim(wanted)`)},
	},
	{
		// What stays in the cgroup, Nomad ends.
		Name: "leaves processes behind", Rule: check.NoneLeft, Fault: "kill solver", Job: "ok",
		Edits: []mutant.Edit{
			mutant.After("(*supervisor).waitSolver", "s.endLeftovers()", "select {}"),
			mutant.Begin("(*Process).awaitSupervisor", `
				for _, err := p.readExit(); err != nil; _, err = p.readExit() {
					select {
					case <-p.watch.stop:
						return false
					case <-time.After(pollEvery):
					}
				}
				p.lookWhetherGone()
				return true`),
		},
	},
	{
		Name: "trusts a forged pid", Rule: check.Untouched, Fault: "innocent pid, then stop", Job: "switchless",
		Edits: []mutant.Edit{
			mutant.Never("proctree.(*Tree).SignalMain", "p.StartTicks != t.MainStart"),
			mutant.Never("proctree.(*Tree).SignalMain", "!t.HoldsMain()"),
			mutant.Begin("Record.Contradicts", "return false"),
		},
	},
	{
		Name: "looks into run folders before it takes up work", Rule: check.OthersLive, Fault: "hang folder, kill both", Job: "ok",
		Edits: []mutant.Edit{mutant.Before("(*Driver).adopt", "d.add(h)", "_, _ = os.ReadDir(h.Folder())")},
	},
	{
		Name: "keeps the cores of a run whose outputs it waits for", Rule: check.NoCoreLeaked, Fault: "hang folder, then stop", Job: "ok",
		Edits: []mutant.Edit{
			mutant.Drop("(*Handle).Run", "h.Binder.Release()"),
			mutant.Drop("(*Handle).end", "h.Binder.Release()"),
			mutant.After("(*Handle).end", "v, err := h.readOutputs(ctx, r)", "h.Binder.Release()"),
		},
	},
	{
		Name: "starts in a folder that another client's run has", Rule: check.OneInFolder, Fault: "folder in use", Job: "ok",
		Edits: []mutant.Edit{
			mutant.Begin("(*Folder).takeLock", "lock, err = f.openLock()\nreturn lock, true, err"),
			mutant.Begin("(*Folder).judge", "return nil, nil"),
		},
	},
	{
		Name: "takes a folder that nobody has locked for free", Rule: check.OneInFolder, Fault: "folder in use, kill all but solver", Job: "ok",
		Edits: []mutant.Edit{mutant.Begin("(*Folder).judge", "return nil, nil")},
	},
	{
		Name: "loses a task when the client restarts", Rule: check.NoRunLost, Fault: "kill both",
		Edits: []mutant.Edit{mutant.Before("(*Driver).RecoverTask", "if errors.Is(why, errDisabled)", `
			if s.Version > 0 {
				return errors.New("no such task")
			}`)},
	},
	{
		Name: "loses runs while state_dir cannot be used", Rule: check.NoRunLost, Fault: "state_dir of a wrong mode", Job: "again",
		Edits: []mutant.Edit{mutant.Begin("(*Driver).recoverUnready", "return true, why")},
	},
	{
		Name: "leaves runs unmanaged", Rule: check.Managed, Fault: "state_dir of a wrong mode", Job: "ok",
		Edits: []mutant.Edit{mutant.Begin("(*Driver).manage", "return")},
	},
	{
		Name: "begins anew where an include is away", Rule: check.GoesOn, Fault: "include away",
		Edits: []mutant.Edit{mutant.Replace("restart.Run.checkLost", `recorded.Identity.Deck == now.Deck || lost == ""`, "true")},
	},
	{
		Name: "begins anew where a record is damaged", Rule: check.GoesOn, Fault: "run's record damaged",
		Edits: []mutant.Edit{mutant.Always("refuseDumps", "n == 0")},
	},
	{
		Name: "begins anew where a record is missing", Rule: check.GoesOn, Fault: "run's record missing",
		Edits: []mutant.Edit{mutant.Never("Run.beginUnrecorded", "p.Restart == auto")},
	},
	{
		Name: "passes over a dump with the last line", Rule: check.GoesOn, Fault: "dump, then all killed",
		Edits: []mutant.Edit{mutant.Replace("Record.refuses", "!r.sawWhole(dump, files)", "true")},
	},
	{
		Name: "takes its own clock for a file server's", Rule: check.DumpTaken, Fault: "dump, then all killed",
		Edits: []mutant.Edit{mutant.Drop("(*DumpWatch).Look", "w.ask(folder)")},
	},
	{
		Name: "computes a completed run again", Rule: check.ResultsStay, Fault: "service completes",
		Edits: []mutant.Edit{mutant.Replace("(*start).checkCompleted", "done.Alloc == s.id.Alloc && done.Task == s.id.Task", "false")},
	},
	{
		Name: "gives no cores to those that wait for some", Rule: check.CoresGiven, Fault: "kill solver", Job: "ok",
		Edits: []mutant.Edit{mutant.Begin("(*Cores).leaseLate", "return")},
	},
	{
		Name: "does not see that a run folder is removed", Rule: check.ToldTrue, Fault: "run folder removed",
		Edits: []mutant.Edit{mutant.Begin("Place.Check", "return true, nil")},
	},
	{
		Name: "does not see that a run folder on a file server is removed", Rule: check.ToldTrue, Fault: "run folder removed",
		Edits: []mutant.Edit{mutant.Replace("Place.Check", "errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE)", "false")},
	},
	{
		Name: "waits for no record at the end of a stop", Rule: check.NoneInvented, Fault: "state_dir of a wrong mode",
		Edits: []mutant.Edit{mutant.Replace("(*Handle).awaitRecord", "time.After(h.patience.Stopped)", "time.After(0)")},
	},
	{
		Name: "gives a run another's cores before that has its own", Rule: check.CoresKept, Fault: "fewer cores usable", Job: "ok",
		Edits: []mutant.Edit{mutant.After("(*Binder).Adopt", "b.claim(wanted)", "b.relocate()")},
	},
	{
		Name: "tells of a signal again and again", Rule: check.ToldTrue, Fault: "signals in a row",
		Edits: []mutant.Edit{mutant.Drop("(*Told).Effect", "told.effect = true")},
	},
}
