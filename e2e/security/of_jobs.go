// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What a job may say.
const (
	lineMounts      = "A job brings mounts or devices"
	lineProgram     = "A job runs a program of its own"
	lineAccount     = "A job runs as root or as a system account"
	lineWorkDir     = "`work_dir` leads elsewhere"
	lineOthers      = "`work_dir` is another user's folder"
	lineThread      = "The task's user signals, slows or looks into the thread"
	lineDeck        = "Deck, include, dump or jobid name files elsewhere"
	lineArgs        = "`args` steer the MPI launcher"
	lineUnderAgents = "All of this under a real agent"
)

var ofJobs = []removal{
	{
		lineMounts, "mounts are passed over", []string{"TestCores_ComeBackAfterAFailedStart"}, []mutant.Edit{
			mutant.Never("(*start).decode", "len(s.cfg.Mounts) > 0"),
		},
	},
	{
		lineMounts, "devices are passed over", []string{"TestCores_ComeBackAfterAFailedStart"}, []mutant.Edit{
			mutant.Never("(*start).decode", "len(s.cfg.Devices) > 0"),
		},
	},
	{
		lineProgram, "any command is taken", []string{"TestParseTask_SaysWhatToWrite"}, []mutant.Edit{
			mutant.Never("(*Settings).parseTaskSolver", "case !s.AllowCommand:"),
		},
	},
	{
		lineProgram, "a solver need not be on the list", []string{"TestParseTask_SaysWhatToWrite"}, []mutant.Edit{
			mutant.Never("(*Settings).parseTaskSolver", "!known"),
		},
	},
	{
		lineProgram, "commands are allowed by default", []string{"TestConfig_AsOperatorsWriteIt"}, []mutant.Edit{
			mutant.SetField("settings.Spec", `"allow_command"`, `withDefault("allow_command", "bool", "true")`),
		},
	},
	{
		lineAccount, "root is a user as any other", []string{"TestTaskUser_OfAnAgentThatIsRoot"}, []mutant.Edit{rootAllowed},
	},
	{
		lineAccount, "no user is denied", []string{"TestTaskUser_OfAnAgentThatIsRoot", "TestStart_DeniedUserIsRefused"}, []mutant.Edit{
			mutant.Never("(*UserPolicy).check", "u.DeniedUIDs.Contains(found.UID)"),
		},
	},
	{
		lineAccount, "no group is denied", []string{"TestTaskUser_OfAnAgentThatIsRoot"}, []mutant.Edit{
			mutant.Never("(*UserPolicy).check", "u.DeniedGIDs.Contains(gid)"),
		},
	},
	{
		lineAccount, "root's group is one as any other", []string{"TestTaskUser_OfTheGroupThatTheJobNames"}, []mutant.Edit{
			mutant.Never("(*UserPolicy).check", "found.GID == 0 && found.UID != 0 && !u.AllowRoot"),
		},
	},
	{
		lineWorkDir, "an absolute work_dir may be anywhere", []string{"TestParseTask_SaysWhatToWrite"}, []mutant.Edit{
			mutant.Begin("(*TaskSettings).parseWorkDir", "return"),
		},
	},
	{
		lineWorkDir, "a work root is looked for before .. is resolved", []string{"TestParseTask_SaysWhatToWrite"}, []mutant.Edit{
			mutant.Replace("(*Settings).WorkRoot", "clean := filepath.Clean(path)", "clean := path"),
		},
	},
	{
		lineWorkDir, "work_dir may lead upwards", []string{"TestOpen_staysBelowItsBase"}, []mutant.Edit{
			mutant.Never("rundir.Open", "!filepath.IsLocal(rel)"),
		},
	},
	{
		lineWorkDir, "work_dir may lead through links", []string{"TestOpen_staysBelowItsBase"}, []mutant.Edit{
			mutant.DropFlag("rundir.Open", "unix.O_NOFOLLOW"),
		},
	},
	{
		lineOthers, "root acts in the user's place",
		[]string{"TestStart_LeavesAnotherUsersFolderAlone", "TestStart_SeesNothingBehindAClosedDoor", "TestDo_LeavesNoThreadBehindWithItsRights"},
		rootActs,
	},
	{
		lineOthers, "nobody asks whether the user may write there", []string{"TestStart_LeavesAnotherUsersFolderAlone"}, []mutant.Edit{
			mutant.Replace("runfolder.Open", "mayUse(folder)", "error(nil)"),
			rootWatches,
		},
	},
	{
		lineOthers, "on old kernels nobody asks whether the user may write there", []string{"TestMayWrite"}, []mutant.Edit{
			mutant.Begin("tryToWrite", "return nil"),
		},
	},
	{
		lineOthers, "the way to the folder is not gone as the user", []string{"TestStart_SeesNothingBehindAClosedDoor"}, []mutant.Edit{rootWatches},
	},
	{
		lineOthers, "threads keep a user's rights", []string{"TestDo_LeavesNoThreadBehindWithItsRights"}, []mutant.Edit{
			mutant.Replace("creds.User.Do", "own.takeBack() == nil", "own.gid == 0"),
		},
	},
	{
		lineOthers, "the thread that acts as the user keeps root's groups", []string{"TestDo_HasTheUsersRights"}, []mutant.Edit{
			mutant.Always("creds.User.supplementary", "g != 0"),
		},
	},
	{
		lineThread, "its real user changes, too", []string{"TestDo_KeepsTheThreadOutOfTheUsersReach"}, []mutant.Edit{
			mutant.SetArg("creds.rights.takeUser", "setUIDs", 0, "uintptr(r.uid)"),
		},
	},
	{
		lineDeck, "names may lead upwards", []string{"TestBuild_namesOfTheJobLeadNowhereElse", "TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.Never("lsdyna.ValidatePath", "!filepath.IsLocal(name)"),
		},
	},
	{
		lineDeck, "a jobid may hold a path", []string{"TestBuild_namesOfTheJobLeadNowhereElse"}, []mutant.Edit{
			mutant.Always("validateJobID", "i > 0"),
			mutant.Replace("validateJobID", "r == '.'", "r == '.' || r == '/'"),
		},
	},
	{
		lineDeck, "a dump may lie anywhere", []string{"TestBuild_namesOfTheJobLeadNowhereElse"}, []mutant.Edit{
			mutant.Replace("launch.Options.validate", `lsdyna.ValidatePath("restart", o.Restart)`, `lsdyna.ValidatePath("restart", "x")`),
		},
	},
	{
		lineDeck, "a deck's links may lead out", []string{"TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.Replace("(*Folder).openInput", "root.Stat(name)", `os.Stat(f.path + "/" + name)`),
			mutant.Replace("(*Folder).openInput", "root.OpenFile", "os.OpenFile"),
			mutant.SetArg("(*Folder).openInput", "os.OpenFile", 0, `f.path + "/" + name`),
		},
	},
	{
		lineDeck, "a deck may be a FIFO", []string{"TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.Replace("(*Folder).openInput", "err == nil && !info.Mode().IsRegular()", "err == nil && info.IsDir()"),
			mutant.Replace("(*Folder).openInput", "err != nil || !info.Mode().IsRegular()", "err != nil || info.IsDir()"),
		},
	},
	{
		lineDeck, "root reads the deck and what it includes", []string{"TestStart_ReadsTheDeckWithTheUsersRights"}, []mutant.Edit{rootWatches},
	},
	{
		lineArgs, "args override what was checked", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.Never("validateArg", "if ours, ok := ours[key]; ok"),
		},
	},
	{
		lineArgs, "args override what was checked, behind a dash", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.Drop("validateArg", `key = strings.TrimLeft(key, "-")`),
		},
	},
	{
		lineArgs, "an entry of args may hold several", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.Never("validateArg", "r <= ' '"),
		},
	},
	{
		lineArgs, "args come before the solver", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.Replace("launch.Build", "append(launch.args, s.Path)", "append(append(launch.args, o.Args...), s.Path)"),
		},
	},
	{
		lineUnderAgents, "root is a user as any other", []string{"TestDriver_JobsReachNoFurtherThanTheirUser"}, []mutant.Edit{rootAllowed},
	},
	{
		lineUnderAgents, "root acts in the user's place", []string{"TestDriver_JobsReachNoFurtherThanTheirUser"}, rootActs,
	},
	{
		lineUnderAgents, "a refused start leaves its record", []string{"TestDriver_JobsReachNoFurtherThanTheirUser"}, []mutant.Edit{
			mutant.Begin("(*start).findUser", `
				if s.record, err = s.d.store.Create(s.id); err != nil {
					return err
				}`),
			mutant.Drop("(*start).makeRecord", "if s.record, err = s.d.store.Create(s.id); err != nil"),
			mutant.Drop("(*start).undo", "if err := s.record.Remove(); err != nil"),
		},
	},
}

var rootAllowed = mutant.Never("(*UserPolicy).find", "account.UID == 0 && !u.AllowRoot")

// rootWatches has a run folder watched by root, not by its user.
var rootWatches = mutant.Replace("(*Watcher).wait", "w.options.As", "func(do func() error) error { return do() }")

var rootActs = []mutant.Edit{mutant.Replace("creds.User.Do", "u.UID == 0", "u.UID >= 0")}
