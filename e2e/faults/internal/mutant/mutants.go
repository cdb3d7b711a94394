// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"

// All are the mistakes that a campaign must find.
var All = []Mutant{
	{
		Name: "leaks a core at a task's end", Rule: check.NoCoreLeaked, Fault: "kill solver",
		Edits: []Edit{{"driver/bind.go", "	t.released = true\n	t.cores.release(t.id.String())\n", "	t.released = true\n"}},
	},
	{
		Name: "starts a second solver beside a live one", Rule: check.OneSolver, Fault: "kill both in start", Job: "ok",
		Edits: []Edit{
			{"driver/start.go", "		if t.isOver() || t.awaitStop(s.d.ctx) {", "		if true {"},
			{"driver/start.go", "	return s.endLeftovers(ctx)\n}", "	return nil\n}"},
			{"driver/start.go", "	if t := s.d.runningIn(s.folder.Path()); t != nil && !t.awaitStop(s.d.ctx) {", "	if t := s.d.runningIn(s.folder.Path()); false && t != nil {"},
		},
	},
	{
		Name: "invents exit code 0", Rule: check.NoneInvented, Fault: "kill supervisor",
		Edits: []Edit{
			{"driver/task.go", "		r.ExitCode = -1\n	}\n	if o.Success() && exit.Known && r.ExitCode == 0", "		r.ExitCode = 0\n		return r\n	}\n	if o.Success() && exit.Known && r.ExitCode == 0"},
		},
	},
	{
		Name: "forgets the signal that ended a solver", Rule: check.NoneInvented, Fault: "kill solver",
		Edits: []Edit{{"driver/task.go", "		r.ExitCode = 128 + exit.Signal\n", "		r.ExitCode, r.Signal = 1, 0\n"}},
	},
	{
		Name: "believes an exit code of 0", Rule: check.NoneInvented, Fault: "kill plugin", Job: "error",
		Edits: []Edit{{"driver/task.go", "	if o.Success() && exit.Known && r.ExitCode == 0", "	if exit.Known && r.ExitCode == 0"}},
	},
	{
		Name: "binds to cores that it did not lease", Rule: check.CoresAsLeased, Fault: "kill plugin", Job: "ok",
		Edits: []Edit{{"supervisor/supervise/supervisor.go", "Join: join, CPUs: s.spec.CPUs,", "Join: join, CPUs: nil,"}, {"driver/drift.go", "	found := t.findDrift(lease)\n", "	var found []string\n"}},
	},
	{
		Name: "repairs no affinity", Rule: check.CoresAsLeased, Fault: "foreign affinity",
		Edits: []Edit{{"driver/drift.go", "	found := t.findDrift(lease)\n", "	var found []string\n"}},
	},
	{
		Name: "forgets cores over a restart", Rule: check.CoresKept, Fault: "kill both in start", Job: "ok",
		Edits: []Edit{{"driver/recover.go", "	d.restoreCores(t, cpus, \"\")\n", ""}},
	},
	{
		// What stays in the cgroup, Nomad ends.
		Name: "leaves processes behind", Rule: check.NoneLeft, Fault: "kill solver", Job: "ok",
		Edits: []Edit{
			{"supervisor/supervise/supervisor.go", "	s.endLeftovers()\n	s.logs.finish()", "	s.endLeftovers()\n	select {}"},
			{"supervisor/process.go", "	if p.supervisor != nil {\n		select {\n		case <-p.supervisor.end:\n", "	if p.supervisor != nil {\n		for _, err := p.readExit(); err != nil; _, err = p.readExit() {\n			time.Sleep(pollEvery)\n		}\n		ended := make(chan struct{})\n		close(ended)\n		select {\n		case <-ended:\n"},
		},
	},
	{
		Name: "trusts a forged pid", Rule: check.Untouched, Fault: "innocent pid, then stop", Job: "switchless",
		Edits: []Edit{
			{"supervisor/internal/proctree/signal.go", "e != nil || p.start != t.MainStart || p.dead() || !t.HoldsMain() {", "e != nil || p.dead() {"},
			{"pidfile/identity.go", "return a != 0 && b != 0 && a != b }", "return a != 0 && b != 0 && a != b && a == b }"},
		},
	},
	{
		Name: "loses a task when the client restarts", Rule: check.NoRunLost, Fault: "kill both",
		Edits: []Edit{{"driver/recover.go", "	if err := h.Validate(); err != nil {\n		return err\n	}\n	if err := d.waitReady()", "	if h.Version > 0 {\n		return errors.New(\"no such task\")\n	}\n	if err := d.waitReady()"}},
	},
}
