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

const stage = "supervisor/supervise/stage.go"

var ofUsers = []removal{
	{
		lineGroups, "root's group is kept", []string{"TestBirth", "TestSupplementaryGroups"}, []mutant.Edit{
			mutant.In(stage, "if g >= 0 && (g != 0 || u.UID == 0) {", "if g >= 0 {"),
		},
	},
	{
		// What was set is read back besides.
		lineGroups, "the groups of whoever started the supervisor are kept", []string{"TestBirth"}, []mutant.Edit{
			mutant.In(stage, "if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0); errno != 0 {", "if errno := syscall.Errno(0); list != nil && errno != 0 {"),
			mutant.In(stage, "	return u.verify(groups)\n", "	_ = u.verify(groups)\n	return nil\n"),
		},
	},
	{
		lineSetuid, "setuid programs give rights", []string{"TestNoNewPrivileges", "TestStart_HandsOnLimitsAndRights"}, []mutant.Edit{
			mutant.In(stage, "	if !o.AllowSetuid {\n", "	if false {\n"),
		},
	},
	{
		lineSetuid, "setuid programs give rights to alloc exec", []string{"TestNoNewPrivileges"}, []mutant.Edit{execGainsRights},
	},
	{
		lineSetuid, "allow_setuid is always on", []string{"TestStart_HandsOnLimitsAndRights"}, []mutant.Edit{
			mutant.In("driver/start.go", "AllowSetuid: s.config.AllowSetuid,", "AllowSetuid: true,"),
		},
	},
	{
		lineTaskEnv, "the supervisor has the task's environment", []string{"TestTaskEnvironmentReachesTheSolverOnly"}, []mutant.Edit{
			mutant.In("supervisor/start.go", "Env:   withRaceOptions(supervisorEnv),", "Env:   append(l.Env, withRaceOptions(supervisorEnv)...),"),
		},
	},
	{
		lineTaskEnv, "the launch stage has the task's environment", []string{"TestTaskEnvironmentReachesTheSolverOnly"}, []mutant.Edit{
			mutant.In("supervisor/supervise/supervisor.go", "pid, join, err := forkStage(s.spec, theirs)", "stageEnv = first.Env\n	pid, join, err := forkStage(s.spec, theirs)"),
			mutant.In("supervisor/supervise/cgroup.go", `[]string{"GOMAXPROCS=1", "GOGC=off"},`, `append([]string{"GOMAXPROCS=1", "GOGC=off"}, stageEnv...),`),
			mutant.In("supervisor/supervise/cgroup.go", "const swappiness =", "var stageEnv []string\n\nconst swappiness ="),
		},
	},
	{
		lineTaskEnv, "lstc_qrun has the agent's environment", []string{"TestCheck_theProgramHasAnEnvironmentOfItsOwn"}, []mutant.Edit{
			mutant.In("lsdyna/license/license.go", "	cmd.Env = []string{\"PATH=/usr/bin:/bin\", \"LSTC_LICENSE_SERVER=\" + l.Server}\n", "	cmd.Env = append(cmd.Environ(), \"PATH=/usr/bin:/bin\", \"LSTC_LICENSE_SERVER=\"+l.Server)\n"),
		},
	},
	{
		linePluginEnv, "solvers have it", []string{"TestTask_EnvironmentsStayApart", "TestDriver_KeepsSecretsToTheSolver"}, []mutant.Edit{
			mutant.In("supervisor/start.go", "supervise.Order{Env: userEnv(l.Env, user), THP", "supervise.Order{Env: userEnv(append(os.Environ(), l.Env...), user), THP"),
		},
	},
	{
		linePluginEnv, "supervisors have it", []string{"TestTask_EnvironmentsStayApart"}, []mutant.Edit{
			mutant.In("supervisor/start.go", "Env:   withRaceOptions(supervisorEnv),", "Env:   append(os.Environ(), withRaceOptions(supervisorEnv)...),"),
		},
	},
	{
		linePluginEnv, "alloc exec has it", []string{"TestTask_EnvironmentsStayApart"}, []mutant.Edit{
			mutant.In("supervisor/exec.go", "Argv: opts.Argv, Env: userEnv(opts.Env, spec.User),", "Argv: opts.Argv, Env: userEnv(append(os.Environ(), opts.Env...), spec.User),"),
		},
	},
	{
		lineSecrets, "the environment is written to the record", []string{"TestTask_SecretsAreNotWritten", "TestDriver_KeepsSecretsToTheSolver"}, []mutant.Edit{
			mutant.In("driver/start.go", "Placement: s.lease.Reason,", "Placement: s.lease.Reason + fmt.Sprint(s.cfg.Env),"),
		},
	},
	{
		lineSecrets, "the environment is written to the driver state", []string{"TestTask_SecretsAreNotWritten"}, []mutant.Edit{
			mutant.In("driver/start.go", "Details: details, DriverPluginVersion: Version,", "Details: details, DriverPluginVersion: Version + fmt.Sprint(s.cfg.Env),"),
		},
	},
	{
		// What is read of a solver's words hides hosts, and events hide what is known.
		lineSecrets, "events repeat what a solver says of its licence server",
		[]string{"TestReader_licenceTroubleNamesNoServer", "TestTask_SecretsAreNotWritten", "TestDriver_KeepsSecretsToTheSolver"}, []mutant.Edit{
			mutant.In("lsdyna/internal/sanitize/sanitize.go", "func HideHosts(text string) string {\n", "func HideHosts(text string) string {\n	if text != \"\" {\n		return text\n	}\n"),
			mutant.In("driver/events.go", "	return e.secrets.Redact(text)\n", "	return text\n"),
		},
	},
}

var execGainsRights = mutant.In("supervisor/exec.go", "AllowSetuid: spec.AllowSetuid,", "AllowSetuid: true,")
