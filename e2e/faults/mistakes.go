// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// A mistake is a mutant of the driver that a campaign must find.
type mistake struct {
	name  string
	rule  string // that a campaign must find broken
	fault string // that brings the mistake out, "" for any
	job   string // kind of job that does, "" for any
	edits []mutant.Edit
}

func (m mistake) mutant() mutant.Mutant { return mutant.Mutant{Name: m.name, Edits: m.edits} }

var mistakes = []mistake{
	{
		name: "leaks a core at a task's end", rule: check.NoCoreLeaked, fault: "kill solver",
		edits: []mutant.Edit{mutant.Drop("(*Binder).Release", "b.cores.alloc.Release(b.run.Owner)")},
	},
	{
		name: "starts a second solver beside a live one", rule: check.OneSolver, fault: "kill both in start", job: "ok",
		edits: []mutant.Edit{
			mutant.Always("(*start).endPredecessors", "if h.IsGone() || h.AwaitStop(s.d.ctx)"),
			mutant.Replace("(*start).endPredecessors", "s.endLeftovers()", "nil"),
			mutant.Begin("(*start).awaitLeaving", "return nil"),
		},
	},
	{
		name: "invents exit code 0", rule: check.NoneInvented, fault: "kill supervisor",
		edits: []mutant.Edit{
			mutant.Replace("exitResult", "r.ExitCode = -1", "r.ExitCode = 0\nreturn r"),
		},
	},
	{
		name: "forgets the signal that ended a solver", rule: check.NoneInvented, fault: "kill solver",
		edits: []mutant.Edit{mutant.Replace("exitResult", "r.ExitCode = 128 + exit.Signal", "r.ExitCode, r.Signal = 1, 0")},
	},
	{
		name: "believes an exit code of 0", rule: check.NoneInvented, fault: "kill plugin", job: "error",
		edits: []mutant.Edit{mutant.Always("exitResult", "o.Success()")},
	},
	{
		name: "binds to cores that it did not lease", rule: check.CoresAsLeased, fault: "kill plugin", job: "ok",
		edits: []mutant.Edit{mutant.SetField("(*supervisor).startStage", "CPUs", "nil"), mutant.Replace("(*Binder).repairDrift", "b.findDrift(lease, look)", "[]string(nil)")},
	},
	{
		name: "repairs no affinity", rule: check.CoresAsLeased, fault: "foreign affinity",
		edits: []mutant.Edit{mutant.Replace("(*Binder).repairDrift", "b.findDrift(lease, look)", "[]string(nil)")},
	},
	{
		name: "forgets cores over a restart", rule: check.CoresKept, fault: "kill both in start", job: "ok",
		edits: []mutant.Edit{mutant.Drop("(*Binder).Adopt", `b.claim(wanted)`)},
	},
	{
		// What stays in the cgroup, Nomad ends.
		name: "leaves processes behind", rule: check.NoneLeft, fault: "kill solver", job: "ok",
		edits: []mutant.Edit{
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
		name: "trusts a forged pid", rule: check.Untouched, fault: "innocent pid, then stop", job: "switchless",
		edits: []mutant.Edit{
			mutant.Never("proctree.(*Tree).SignalMain", "p.StartTicks != t.MainStart"),
			mutant.Never("proctree.(*Tree).SignalMain", "!t.HoldsMain()"),
			mutant.Begin("Record.Contradicts", "return false"),
		},
	},
	{
		name: "looks into run folders before it takes up work", rule: check.OthersLive, fault: "hang folder, kill both", job: "ok",
		edits: []mutant.Edit{mutant.Before("(*Driver).adopt", "d.add(h)", "_, _ = os.ReadDir(h.Folder())")},
	},
	{
		name: "keeps the cores of a run whose outputs it waits for", rule: check.NoCoreLeaked, fault: "hang folder, then stop", job: "ok",
		edits: []mutant.Edit{
			mutant.Drop("(*Handle).Run", "h.Binder.Release()"),
			mutant.Drop("(*Handle).end", "h.Binder.Release()"),
			mutant.After("(*Handle).end", "v, err := h.readOutputs(ctx, r)", "h.Binder.Release()"),
		},
	},
	{
		name: "starts in a folder that another client's run has", rule: check.OneInFolder, fault: "folder in use", job: "ok",
		edits: []mutant.Edit{
			mutant.Begin("(*Folder).takeLock", "lock, err = f.openLock()\nreturn lock, true, err"),
			mutant.Begin("(*Folder).judge", "return nil, nil"),
		},
	},
	{
		name: "takes a folder that nobody has locked for free", rule: check.OneInFolder, fault: "folder in use, kill all but solver", job: "ok",
		edits: []mutant.Edit{mutant.Begin("(*Folder).judge", "return nil, nil")},
	},
	{
		name: "loses a task when the client restarts", rule: check.NoRunLost, fault: "kill both",
		edits: []mutant.Edit{mutant.Before("(*Driver).RecoverTask", "if errors.Is(why, errDisabled)", `
			if s.Version > 0 {
				return errors.New("no such task")
			}`)},
	},
	{
		name: "loses runs while state_dir cannot be used", rule: check.NoRunLost, fault: "state_dir of a wrong mode", job: "again",
		edits: []mutant.Edit{mutant.Begin("(*Driver).recoverUnready", "return true, why")},
	},
	{
		name: "leaves runs unmanaged", rule: check.Managed, fault: "state_dir of a wrong mode", job: "ok",
		edits: []mutant.Edit{mutant.Begin("(*Driver).manage", "return")},
	},
	{
		name: "begins anew where an include is away", rule: check.GoesOn, fault: "include away",
		edits: []mutant.Edit{mutant.Replace("restart.Choose", `recorded.Identity.Deck != now.Deck && lost != ""`, "false")},
	},
	{
		name: "begins anew where a record is damaged", rule: check.GoesOn, fault: "run's record damaged",
		edits: []mutant.Edit{mutant.Always("refuseDumps", "n == 0")},
	},
	{
		name: "begins anew where a record is missing", rule: check.GoesOn, fault: "run's record missing",
		edits: []mutant.Edit{mutant.Never("Run.beginUnrecorded", "p.Restart == auto")},
	},
	{
		name: "passes over a dump with the last line", rule: check.GoesOn, fault: "dump, then all killed",
		edits: []mutant.Edit{mutant.Replace("Record.refuses", "!r.sawWhole(dump, files)", "true")},
	},
	{
		name: "takes its own clock for a file server's", rule: check.DumpTaken, fault: "dump, then all killed",
		edits: []mutant.Edit{mutant.Drop("(*DumpWatch).Look", "w.ask(folder)")},
	},
	{
		name: "computes a completed run again", rule: check.ResultsStay, fault: "service completes",
		edits: []mutant.Edit{mutant.Replace("(*start).checkCompleted", "done.Alloc == s.id.Alloc && done.Task == s.id.Task", "false")},
	},
	{
		name: "gives no cores to those that wait for some", rule: check.CoresGiven, fault: "kill solver", job: "ok",
		edits: []mutant.Edit{mutant.Begin("(*Cores).leaseLate", "return")},
	},
	{
		name: "does not see that a run folder is removed", rule: check.ToldTrue, fault: "run folder removed",
		edits: []mutant.Edit{mutant.Begin("Workplace.Check", "return true, nil")},
	},
	{
		name: "does not see that a run folder on a file server is removed", rule: check.ToldTrue, fault: "run folder removed",
		edits: []mutant.Edit{mutant.Replace("Workplace.Check", "errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE)", "false")},
	},
	{
		name: "waits for no record at the end of a stop", rule: check.NoneInvented, fault: "state_dir of a wrong mode",
		edits: []mutant.Edit{mutant.Replace("(*Handle).awaitRecord", "time.After(h.patience.Stopped)", "time.After(0)")},
	},
	{
		name: "gives a run another's cores before that has its own", rule: check.CoresKept, fault: "fewer cores usable", job: "ok",
		edits: []mutant.Edit{mutant.After("(*Binder).Adopt", "b.claim(wanted)", "b.relocate()")},
	},
	{
		name: "tells of a signal again and again", rule: check.ToldTrue, fault: "signals in a row",
		edits: []mutant.Edit{mutant.Drop("(*Handle).tellSwitch", "told.effect = true")},
	},
}
