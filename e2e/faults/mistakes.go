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
		edits: []mutant.Edit{mutant.In("driver/bind.go", "	t.released = true\n	t.cores.release(t.id.String())\n", "	t.released = true\n")},
	},
	{
		name: "starts a second solver beside a live one", rule: check.OneSolver, fault: "kill both in start", job: "ok",
		edits: []mutant.Edit{
			mutant.In("driver/predecessor.go", "		if t.isOver() || t.awaitStop(s.d.ctx) {", "		if true {"),
			mutant.In("driver/predecessor.go", "	return s.endLeftovers(ctx)\n}", "	return nil\n}"),
			mutant.In("driver/start.go", "	if t := s.d.runningIn(s.folder.Path()); t != nil && !t.awaitStop(s.d.ctx) {", "	if t := s.d.runningIn(s.folder.Path()); false && t != nil {"),
		},
	},
	{
		name: "invents exit code 0", rule: check.NoneInvented, fault: "kill supervisor",
		edits: []mutant.Edit{
			mutant.In("driver/finish.go", "		r.ExitCode = -1\n	}\n	if o.Success() && exit.Known && r.ExitCode == 0", "		r.ExitCode = 0\n		return r\n	}\n	if o.Success() && exit.Known && r.ExitCode == 0"),
		},
	},
	{
		name: "forgets the signal that ended a solver", rule: check.NoneInvented, fault: "kill solver",
		edits: []mutant.Edit{mutant.In("driver/finish.go", "		r.ExitCode = 128 + exit.Signal\n", "		r.ExitCode, r.Signal = 1, 0\n")},
	},
	{
		name: "believes an exit code of 0", rule: check.NoneInvented, fault: "kill plugin", job: "error",
		edits: []mutant.Edit{mutant.In("driver/finish.go", "	if o.Success() && exit.Known && r.ExitCode == 0", "	if exit.Known && r.ExitCode == 0")},
	},
	{
		name: "binds to cores that it did not lease", rule: check.CoresAsLeased, fault: "kill plugin", job: "ok",
		edits: []mutant.Edit{mutant.In("supervisor/supervise/supervisor.go", "Join: join, CPUs: s.spec.CPUs,", "Join: join, CPUs: nil,"), mutant.In("driver/drift.go", "	found := t.findDrift(lease)\n", "	var found []string\n")},
	},
	{
		name: "repairs no affinity", rule: check.CoresAsLeased, fault: "foreign affinity",
		edits: []mutant.Edit{mutant.In("driver/drift.go", "	found := t.findDrift(lease)\n", "	var found []string\n")},
	},
	{
		name: "forgets cores over a restart", rule: check.CoresKept, fault: "kill both in start", job: "ok",
		edits: []mutant.Edit{mutant.In("driver/recover.go", "	d.restoreCores(t, cpus, \"\")\n", "")},
	},
	{
		// What stays in the cgroup, Nomad ends.
		name: "leaves processes behind", rule: check.NoneLeft, fault: "kill solver", job: "ok",
		edits: []mutant.Edit{
			mutant.In("supervisor/supervise/supervisor.go", "	s.endLeftovers()\n	s.logs.finish()", "	s.endLeftovers()\n	select {}"),
			mutant.In("supervisor/process.go", "	if p.supervisor != nil {\n		select {\n		case <-p.supervisor.end:\n",
				"	if p.supervisor != nil {\n		for _, err := p.readExit(); err != nil; _, err = p.readExit() {\n			time.Sleep(pollEvery)\n		}\n"+
					"		ended := make(chan struct{})\n		close(ended)\n		select {\n		case <-ended:\n"),
		},
	},
	{
		name: "trusts a forged pid", rule: check.Untouched, fault: "innocent pid, then stop", job: "switchless",
		edits: []mutant.Edit{
			mutant.In("supervisor/internal/proctree/signal.go", "e != nil || p.start != t.MainStart || p.dead() || !t.HoldsMain() {", "e != nil || p.dead() {"),
			mutant.In("pidfile/identity.go", "return a != 0 && b != 0 && a != b }", "return a != 0 && b != 0 && a != b && a == b }"),
		},
	},
	{
		name: "loses a task when the client restarts", rule: check.NoRunLost, fault: "kill both",
		edits: []mutant.Edit{mutant.In("driver/recover.go", "	if err := h.Validate(); err != nil {\n		return err\n	}\n	if err := d.waitReady()", "	if h.Version > 0 {\n		return errors.New(\"no such task\")\n	}\n	if err := d.waitReady()")},
	},
}
