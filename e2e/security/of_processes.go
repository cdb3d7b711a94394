// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What processes may do to each other.
const (
	lineSupervisor  = "The task's user ends the supervisor"
	lineDescriptors = "Descriptors of the plugin come to the solver"
	lineLeftovers   = "Processes stay behind"
	lineExec        = "`alloc exec` gives more than the task has"
	lineBombs       = "Bombs: memory, processes"
)

// Files of the rooms that launch and end.
const (
	superviseGo  = "supervisor/supervise/supervisor.go"
	superviseCgo = "supervisor/supervise/cgroup.go"
	execGo       = "supervisor/exec.go"
)

var ofProcesses = []removal{
	{
		// Whose real user id it is may signal a process.
		lineSupervisor, "the supervisor is the user's, too", []string{"TestSupervisorIsOutOfTheUsersReach"}, []mutant.Edit{
			mutant.In(superviseGo, "	s.spec = spec\n	return nil\n", "	s.spec = spec\n	syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(spec.User.UID), ^uintptr(0), ^uintptr(0))\n	return nil\n"),
		},
	},
	{
		lineSupervisor, "its records are everybody's to read", []string{"TestSupervisorIsOutOfTheUsersReach"}, []mutant.Edit{
			mutant.In(superviseGo, "	s.spec = spec\n	return nil\n", "	s.spec = spec\n	_ = os.Chmod(s.dir, 0o755)\n	return nil\n"),
		},
	},
	{
		lineDescriptors, "those of the agent pass", []string{"TestDescriptorsStayHere"}, []mutant.Edit{
			mutant.In(stage, "	keepDescriptors()\n", "	_ = keepDescriptors\n"),
		},
	},
	{
		lineDescriptors, "the record's lock passes", []string{"TestDescriptorsStayHere"}, []mutant.Edit{
			mutant.In(stage, "	keepDescriptors()\n", "	_ = keepDescriptors\n"),
			mutant.In(superviseGo, "	syscall.CloseOnExec(LockFD)\n", ""),
		},
	},
	{
		lineLeftovers, "the supervisor ends with the solver", []string{"TestLeftoversAreEnded", "TestExecEndsWithTheTask"}, []mutant.Edit{
			mutant.In(superviseGo, "	s.endLeftovers()\n	s.logs.finish()\n", "	s.logs.finish()\n"),
		},
	},
	{
		lineLeftovers, "the supervisor is no subreaper", []string{"TestLeftoversAreEnded"}, []mutant.Edit{
			mutant.In(superviseGo, "	if err := becomeSubreaper(); err != nil {", "	if err := error(nil); err != nil && becomeSubreaper() != nil {"),
		},
	},
	{
		lineExec, "it runs as root", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.In(execGo, "Dir: spec.Dir, User: spec.User,", "Dir: spec.Dir,"),
		},
	},
	{
		lineExec, "it has root's group", []string{"TestTask_ExecRunsInTheTasksPlace"}, []mutant.Edit{
			mutant.In(execGo, "Dir: spec.Dir, User: spec.User,", "Dir: spec.Dir, User: withRootsGroup(spec.User),"),
			mutant.In(execGo, "// ExecCmd is", "func withRootsGroup(u User) User {\n	u.Groups = append(slices.Clone(u.Groups), 0)\n	return u\n}\n\n// ExecCmd is"),
			mutant.In(stage, "if g >= 0 && (g != 0 || u.UID == 0) {", "if g >= 0 {"),
		},
	},
	{
		lineExec, "it runs outside the cgroup", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.In(execGo, "Join: spec.Cgroups.Join, CPUs: opts.CPUs,", "CPUs: opts.CPUs,"),
		},
	},
	{
		lineExec, "it runs on all cores", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.In(execGo, "Join: spec.Cgroups.Join, CPUs: opts.CPUs,", "Join: spec.Cgroups.Join,"),
		},
	},
	{
		lineExec, "it runs in another folder", []string{"TestTask_ExecRunsInTheTasksPlace"}, []mutant.Edit{
			mutant.In(execGo, "Dir: spec.Dir, User: spec.User,", "Dir: \"/\", User: spec.User,"),
		},
	},
	{
		lineExec, "setuid programs give it rights", []string{"TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{execGainsRights},
	},
	{
		lineBombs, "there is no limit of memory", []string{"TestLimitsAreWritten", "TestOOMKill", "TestDriver_OutOfMemoryIsTold", "TestDriver_LimitsAreRawExecs"}, []mutant.Edit{
			mutant.In(superviseCgo, "		add(memory, limit, strconv.FormatInt(l.MemoryMax, 10))\n", ""),
		},
	},
	{
		lineBombs, "there is no limit of processes", []string{"TestLimitsAreWritten"}, []mutant.Edit{
			mutant.In(superviseCgo, "		add(c.Join[0], \"pids.max\", strconv.FormatInt(l.Processes, 10))\n", ""),
		},
	},
	{
		lineBombs, "max_processes is not handed on", []string{"TestStart_HandsOnLimitsAndRights"}, []mutant.Edit{
			mutant.In("driver/start.go", "	spec.Limits.Processes = s.config.MaxProcesses\n", ""),
		},
	},
	{
		lineBombs, "the kernel spares the solver as it does the agent", []string{"TestBirth"}, []mutant.Edit{
			mutant.In(stage, "	if err := resetOOMScore(); err != nil {\n		return err\n	}\n", "	_ = resetOOMScore\n"),
		},
	},
}
