// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What processes may do to each other.
const (
	lineSupervisor  = "The task's user ends the supervisor"
	lineDescriptors = "Descriptors of the plugin come to the solver"
	lineLeftovers   = "Processes stay behind"
	lineExecTime    = "A command of `alloc exec` or a script check does not end"
	lineExec        = "`alloc exec` gives more than the task has"
	lineBombs       = "Bombs: memory, processes"
)

var ofProcesses = []removal{
	{
		// Whose real user id it is may signal a process.
		lineSupervisor, "the supervisor is the user's, too", []string{"TestSupervisorIsOutOfTheUsersReach"}, []mutant.Edit{
			mutant.Before("(*supervisor).prepare", "return nil", "syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(spec.User.UID), ^uintptr(0), ^uintptr(0))"),
		},
	},
	{
		lineSupervisor, "its records are everybody's to read", []string{"TestSupervisorIsOutOfTheUsersReach"}, []mutant.Edit{
			mutant.Before("(*supervisor).prepare", "return nil", "_ = os.Chmod(s.dir, 0o755)"),
		},
	},
	{
		lineDescriptors, "those of the agent pass", []string{"TestDescriptorsStayHere"}, []mutant.Edit{
			mutant.Drop("(*StageOrder).plan", "if err := keepDescriptors(); err != nil"),
		},
	},
	{
		lineDescriptors, "without close_range those of the agent pass", []string{"TestDescriptorsStayHereOnOldKernels"}, []mutant.Edit{
			mutant.Always("keepDescriptors", "errno == 0"),
		},
	},
	{
		lineDescriptors, "the record's lock passes", []string{"TestDescriptorsStayHere"}, []mutant.Edit{
			mutant.Drop("(*StageOrder).plan", "if err := keepDescriptors(); err != nil"),
			mutant.Drop("superviseMain", "syscall.CloseOnExec(LockFD)"),
			mutant.Replace("(*supervisor).fork", "LockFD", "FolderFD"),
		},
	},
	{
		lineDescriptors, "what waits in the solver's place holds the locks", []string{"TestPlaceHoldsNothingOfTheSupervisors"}, []mutant.Edit{
			mutant.Replace("(*supervisor).fork", "LockFD", "FolderFD"),
		},
	},
	{
		lineLeftovers, "the supervisor ends with the solver", []string{"TestLeftoversAreEnded", "TestExecEndsWithTheTask"}, []mutant.Edit{
			mutant.Drop("(*supervisor).waitSolver", "s.endLeftovers()"),
		},
	},
	{
		lineLeftovers, "the supervisor is no subreaper", []string{"TestLeftoversAreEnded"}, []mutant.Edit{
			mutant.Drop("(*supervisor).prepare", "if err := becomeSubreaper(); err != nil"),
		},
	},
	{
		lineExecTime, "only the command itself is ended", []string{"TestExecTask_EndsAllOfACommandWithItsTimeout"}, []mutant.Edit{
			mutant.Replace("(*ExecCmd).Wait", "c.endSession()", "c.Cmd.Process.Kill()"),
		},
	},
	{
		lineExecTime, "a timeout that has passed is none", []string{"TestExecTask_WithoutTime"}, []mutant.Edit{
			mutant.SetArg("execution.Check", "context.WithTimeout", 1, "max(timeout, time.Minute)"),
		},
	},
	{
		lineExec, "it runs as root", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.DropField("supervisor.Command", "User"),
		},
	},
	{
		lineExec, "it has root's group", []string{"TestTask_ExecRunsInTheTasksPlace"}, []mutant.Edit{
			mutant.SetField("supervisor.Command", "User", "withRootsGroup(spec.User)"),
			mutant.Declare("supervisor.Command", `
				func withRootsGroup(u User) User {
					u.Groups = append(slices.Clone(u.Groups), 0)
					return u
				}`),
			mutant.Always("User.supplementary", "g != 0 || u.UID == 0"),
		},
	},
	{
		lineExec, "it runs outside the cgroup", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.DropField("supervisor.Command", "Join"),
		},
	},
	{
		lineExec, "it runs on all cores", []string{"TestTask_ExecRunsInTheTasksPlace", "TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{
			mutant.DropField("supervisor.Command", "CPUs"),
		},
	},
	{
		lineExec, "it runs in another folder", []string{"TestTask_ExecRunsInTheTasksPlace"}, []mutant.Edit{
			mutant.Replace("supervisor.Command", "spec.Dir", `"/"`),
		},
	},
	{
		lineExec, "setuid programs give it rights", []string{"TestDriver_ExecHasTheTasksRightsOnly"}, []mutant.Edit{execGainsRights},
	},
	{
		lineBombs, "there is no limit of memory", []string{"TestLimitsAreWritten", "TestOOMKill", "TestDriver_OutOfMemoryIsTold", "TestDriver_LimitsAreRawExecs"}, []mutant.Edit{
			mutant.Never("limitFiles", "l.MemoryMax > 0"),
		},
	},
	{
		lineBombs, "there is no limit of processes", []string{"TestLimitsAreWritten", "TestProcessLimitOfCgroupV1"}, []mutant.Edit{
			mutant.Never("limitFiles", "l.Processes > 0"),
		},
	},
	{
		lineBombs, "max_processes is not handed on", []string{"TestStart_HandsOnLimitsAndRights", "TestDriver_ForkBombEndsWithItsTask"}, []mutant.Edit{
			mutant.Drop("(*start).makeSpec", "s.d.cores.LimitProcesses(spec, s.place.parent, s.node.MaxProcesses)"),
		},
	},
	{
		lineBombs, "with cgroup v1 nobody counts processes", []string{"TestCgroup_ForTheLimitOfProcesses"}, []mutant.Edit{
			mutant.Never("(*Cores).pidsOf", "spec.Cgroups.Mode != supervisor.CgroupV1"),
			mutant.Drop("(*Cores).LimitProcesses", "spec.Cgroups.Join = append([]string{dir}, spec.Cgroups.Join...)"),
		},
	},
	{
		lineBombs, "the kernel spares the solver as it does the agent", []string{"TestBirth"}, []mutant.Edit{
			mutant.Drop("(*StageOrder).enter", "if err := resetOOMScore(l); err != nil"),
		},
	},
}
