// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What comes to the task, and what of it goes elsewhere.
const (
	lineGroups    = "Root's group stays with the task"
	lineSetuid    = "The task gains rights by setuid programs"
	lineTaskEnv   = "The task's environment acts in root's processes"
	linePluginEnv = "The plugin's environment leaks into tasks"
	lineSecrets   = "Tokens or the licence server stand in records"
)

var ofUsers = []removal{
	{
		lineGroups, "root's group is kept", []string{"TestBirth", "TestSupplementaryGroups"}, []mutant.Edit{
			mutant.Always("User.supplementary", "g != 0 || u.UID == 0"),
		},
	},
	{
		// What was set is read back besides.
		lineGroups, "the groups of whoever started the supervisor are kept", []string{"TestBirth"}, []mutant.Edit{
			mutant.Replace("creds.User.Become", "syscall.SYS_SETGROUPS", "syscall.SYS_GETPID"),
			mutant.Drop("creds.User.Become", "u.verify(l, groups)"),
		},
	},
	{
		lineSetuid, "setuid programs give rights", []string{"TestNoNewPrivileges", "TestStart_HandsOnLimitsAndRights"}, []mutant.Edit{
			mutant.Never("(*StageOrder).become", "!o.AllowSetuid"),
		},
	},
	{
		lineSetuid, "setuid programs give rights to alloc exec", []string{"TestNoNewPrivileges"}, []mutant.Edit{execGainsRights},
	},
	{
		lineSetuid, "allow_setuid is always on", []string{"TestStart_HandsOnLimitsAndRights"}, []mutant.Edit{
			mutant.SetField("(*start).makeSpec", "AllowSetuid", "true"),
		},
	},
	{
		lineTaskEnv, "the supervisor has the task's environment", []string{"TestTaskEnvironmentReachesTheSolverOnly"}, []mutant.Edit{
			mutant.SetField("forkSupervisor", "Env", "append(l.Env, withRaceOptions(supervisorEnv)...)"),
		},
	},
	{
		lineTaskEnv, "the launch stage has the task's environment", []string{"TestTaskEnvironmentReachesTheSolverOnly"}, []mutant.Edit{
			mutant.Begin("(*supervisor).startPlace", "stageEnv = o.Env"),
			mutant.SetField("executeStage", "Env", `append([]string{"GOMAXPROCS=1", "GOGC=off"}, stageEnv...)`),
			mutant.Declare("executeStage", "var stageEnv []string"),
		},
	},
	{
		lineTaskEnv, "lstc_qrun has the agent's environment", []string{"TestCheck_theProgramHasAnEnvironmentOfItsOwn"}, []mutant.Edit{
			mutant.Replace("license.Config.ask", "cmd.Env = _", `cmd.Env = append(cmd.Environ(), "PATH=/usr/bin:/bin", "LSTC_LICENSE_SERVER="+l.Server)`),
		},
	},
	{
		linePluginEnv, "solvers have it", []string{"TestTask_EnvironmentsStayApart", "TestDriver_KeepsSecretsToTheSolver"}, []mutant.Edit{
			mutant.SetArg("handshake", "userEnv", 0, "append(os.Environ(), l.Env...)"),
		},
	},
	{
		linePluginEnv, "supervisors have it", []string{"TestTask_EnvironmentsStayApart"}, []mutant.Edit{
			mutant.SetField("forkSupervisor", "Env", "append(os.Environ(), withRaceOptions(supervisorEnv)...)"),
		},
	},
	{
		linePluginEnv, "alloc exec has it", []string{"TestTask_EnvironmentsStayApart"}, []mutant.Edit{
			mutant.SetArg("supervisor.Command", "userEnv", 0, "append(os.Environ(), opts.Env...)"),
		},
	},
	{
		lineSecrets, "the environment is written to the record", []string{"TestTask_SecretsAreNotWritten", "TestDriver_KeepsSecretsToTheSolver"}, []mutant.Edit{
			mutant.SetField("(*start).makeDetails", "Placement", "s.place.lease.Reason + fmt.Sprint(s.cfg.Env)"),
		},
	},
	{
		lineSecrets, "the environment is written to the driver state", []string{"TestTask_SecretsAreNotWritten"}, []mutant.Edit{
			mutant.SetField("(*start).taskHandle", "DriverPluginVersion", "Version + fmt.Sprint(s.cfg.Env)"),
		},
	},
	{
		// What is read of a solver's words hides hosts, and events hide what is known.
		lineSecrets, "events repeat what a solver says of its licence server",
		[]string{"TestReader_licenceTroubleNamesNoServer", "TestTask_SecretsAreNotWritten", "TestDriver_KeepsSecretsToTheSolver"},
		[]mutant.Edit{
			mutant.Begin("sanitize.HideHosts", "return text"),
			mutant.Begin("(*Hub).Redact", "return text"),
		},
	},
}

var execGainsRights = mutant.SetField("supervisor.Command", "AllowSetuid", "true")
