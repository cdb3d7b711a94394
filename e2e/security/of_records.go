// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// Whose records they are.
const (
	lineStateDir = "Somebody prepares `state_dir`"
	lineDying    = "A plugin works on a `state_dir` beside another"
	lineWay      = "Somebody exchanges a folder above it"
	lineLog      = "Root writes its log to a `state_dir`"
	lineRecords  = "Records are read or written by others"
	lineStatus   = "`status_dir` tells a user of another's tasks"
	lineTold     = "`status_dir` tells what `status` does not"
	lineWord     = "A forged `node.json` leads root's commands"
	lineNames    = "A task's name leads out of `state_dir`"
	lineIdentity = "Root signals the wrong process"
	lineReap     = "`reap` ends a run or loses an exit status"
	lineVersions = "A record of another version"
)

var ofRecords = []removal{
	{
		// The folder above is looked at, too: tasks/ is below state_dir.
		lineStateDir, "a foreign owner is taken", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.Never("checkDir", "int(stat.Uid) != os.Geteuid()"),
			mutant.Never("checkStep", "uid != os.Geteuid()"),
		},
	},
	{
		lineStateDir, "a folder that others may enter is taken, and made",
		[]string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared", "TestOpen_MakesFoldersForTheOwnerAlone"},
		[]mutant.Edit{
			mutant.Never("checkDir", "info.Mode().Perm()&0o077 != 0"),
			mutant.SetArg("secureDir", "os.MkdirAll", 1, "0o755"),
		},
	},
	{
		lineStateDir, "a link is taken", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.Replace("checkDir", "os.Lstat", "os.Stat"),
		},
	},
	{
		lineStateDir, "the lock may be a link", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.DropFlag("durable.Lock", "syscall.O_NOFOLLOW"),
		},
	},
	{
		lineStateDir, "two plugins have it at once", []string{"TestOpen_OnePluginAtATime"}, []mutant.Edit{
			mutant.Replace("durable.Lock", "syscall.LOCK_EX", "syscall.LOCK_SH"),
		},
	},
	{
		lineDying, "a process counts as dying without a look at its threads", []string{"TestDying", "TestDying_NotWithoutItsFirstThread"}, []mutant.Edit{
			mutant.Never("procfs.Identity.Dying", "if dying, err := threadDying(dir, tid); err != nil || !dying"),
		},
	},
	{
		lineDying, "a thread that waits counts as dying", []string{"TestDying", "TestTakeOver_FromAProcessThatCannotEnd"}, []mutant.Edit{
			mutant.Replace("killPending", "mask&(1<<(uint(syscall.SIGKILL)-1)) != 0", "mask == mask"),
		},
	},
	{
		lineDying, "nobody asks the kernel who has the lock", []string{"TestProvenDying"}, []mutant.Edit{
			mutant.Never("provenDying", "!slices.Contains(holders, from.PID)"),
		},
	},
	{
		lineDying, "two replace a lock at once", []string{"TestOpen_WaitsForNoTurn"}, []mutant.Edit{
			mutant.Always("takeTurn", "err != nil && !errors.Is(err, durable.ErrHeld)"),
		},
	},
	{
		lineWay, "nobody asks who may write above it", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.Never("checkStep", "if perm&0o002 != 0 || perm&0o020 != 0 && stat.Gid != 0 && list == nil"),
		},
	},
	{
		lineWay, "access control lists above it are not read", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.Never("checkStep", `who != ""`),
		},
	},
	{
		lineStateDir, "a list that lets others write what is made there is taken", []string{"TestOpen_RefusesAListForWhatIsMade"}, []mutant.Edit{
			mutant.Never("checkDefaults", `who != ""`),
		},
	},
	{
		lineWay, "nobody asks whose the folders above are", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.Never("checkStep", "uid != os.Geteuid()"),
		},
	},
	{
		lineWay, "links on the way are not looked at", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.Replace("checkWay", "os.Lstat", "os.Stat"),
		},
	},
	{
		lineLog, "nobody asks whether state_dir was taken", []string{"TestFollowLog_NotIntoAStateDirThatWasNotTaken"}, []mutant.Edit{
			mutant.Never("(*Driver).logFolder", "!d.isReady()"),
		},
	},
	{
		// The supervisor has a umask of its own besides.
		lineRecords, "records are made for everybody to read", []string{"TestInheritsNothingElse"}, []mutant.Edit{
			mutant.SetArg("kernel.create", "syscall.Openat", 3, "0o644"),
			mutant.SetArg("superviseMain", "syscall.Umask", 0, "0o022"),
		},
	},
	{
		lineRecords, "the environment is written to the record", []string{"TestInheritsNothingElse"}, []mutant.Edit{
			mutant.Before("supervisor.Start", "spec, err := ReadSpec(l.Dir)", `_ = os.WriteFile(l.Dir+"/env", []byte(strings.Join(l.Env, "\n")), 0o600)`),
		},
	},
	{
		lineRecords, "a record's folder may be a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.Replace("(*Store).Record", "os.Lstat", "os.Stat"),
		},
	},
	{
		lineRecords, "details may be read through a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.DropFlag("durable.ReadFile", "syscall.O_NOFOLLOW"),
		},
	},
	{
		lineRecords, "details are written through a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.Replace("durable.writeWhole", "d.rename(dir, temp, name)", "errors.Join(os.WriteFile(path, data, 0o600), d.unlink(dir, temp))"),
		},
	},
	{
		lineRecords, "a pid file may be a link", []string{"TestReadFile_TakesNothingButAModestFile"}, []mutant.Edit{
			mutant.DropFlag("durable.ReadFile", "syscall.O_NOFOLLOW"),
		},
	},
	{
		lineRecords, "a pid file may be a FIFO", []string{"TestReadFile_TakesNothingButAModestFile"}, []mutant.Edit{
			mutant.Never("durable.ReadFile", "info.Mode&syscall.S_IFMT != syscall.S_IFREG"),
		},
	},
	{
		lineRecords, "a pid file may be of any size", []string{"TestReadFile_TakesNothingButAModestFile"}, []mutant.Edit{
			mutant.Drop("durable.ReadFile", "if len(data) > limit"),
		},
	},
	{
		lineRecords, "the history is written through a link", []string{"TestAppend_FollowsNoLinkAndWaitsForNoFIFO"}, []mutant.Edit{
			mutant.DropFlag("durable.Append", "syscall.O_NOFOLLOW"),
		},
	},
	{
		lineStatus, "everybody reads what a user is told", []string{"TestDir_eachUserReadsHisOwn"}, []mutant.Edit{
			mutant.Replace("state.GrantRead", "aclEntry{aclOthers, aclNone, aclNobody}", "aclEntry{aclOthers, aclRead, aclNobody}"),
		},
	},
	{
		lineStatus, "a user's file is his, and of any size", []string{"TestDir_eachUserReadsHisOwn"}, []mutant.Edit{
			mutant.Replace("(*Dir).replace", "state.GrantRead(file, f.uid)", "file.Chown(f.uid, 0)"),
		},
	},
	{
		lineStatus, "everybody can hold its lock", []string{"TestDir_eachUserReadsHisOwn"}, []mutant.Edit{
			mutant.Replace("durable.Lock", "0o600", "0o644"),
		},
	},
	{
		lineStatus, "others may write there", []string{"TestOpen_refusesAFolderThatOthersPrepare"}, []mutant.Edit{
			mutant.Never("public.check", "info.Mode().Perm()&0o022 != 0"),
		},
	},
	{
		lineStatus, "another user's folder is taken", []string{"TestOpen_refusesAFolderThatOthersPrepare"}, []mutant.Edit{
			mutant.Never("public.check", "ok && int(st.Uid) != os.Geteuid()"),
		},
	},
	{
		lineStatus, "a link is taken", []string{"TestOpen_refusesAFolderThatOthersPrepare"}, []mutant.Edit{
			mutant.Replace("public.check", "os.Lstat", "os.Stat"),
		},
	},
	{
		lineStatus, "nobody asks who may write above it", []string{"TestOpen_refusesAFolderThatOthersPrepare"}, []mutant.Edit{
			mutant.Never("public.Open", `if err := state.CheckWay("status_dir", path); err != nil`),
		},
	},
	{
		// The kernel's word is the other layer.
		lineStatus, "a stranger is shown another's tasks", []string{"TestStatus_showsAStrangerWhichCoresAreTaken"}, []mutant.Edit{
			mutant.Replace("(*Facts).readTold", "os.Geteuid()", "54321"),
			mutant.Replace("state.GrantRead", "aclEntry{aclOthers, aclNone, aclNobody}", "aclEntry{aclOthers, aclRead, aclNobody}"),
		},
	},
	{
		lineTold, "a user's home is told", []string{"TestTold_leavesOutWhatStatusDoesNotTell"}, []mutant.Edit{
			mutant.Replace("public.Told", "d.User", "d.Home"),
		},
	},
	{
		lineWord, "nobody asks who may write there", []string{"TestStateDir_isBelievedOnlyOfRootAndThisUser"}, []mutant.Edit{
			mutant.Never("public.StateDir", `if err := state.CheckWay("status_dir", file); err != nil`),
		},
	},
	{
		lineWord, "nobody asks whose the file is", []string{"TestStateDir_isBelievedOnlyOfRootAndThisUser"}, []mutant.Edit{
			mutant.Never("public.StateDir", "st.Uid != 0 && int(st.Uid) != os.Geteuid()"),
		},
	},
	{
		lineNames, "any name will do", []string{"TestStore_RefusesIDsThatLeadOut"}, []mutant.Edit{
			mutant.Never("checkID", "_ || strings.ContainsAny(part, _)"),
		},
	},
	{
		lineIdentity, "start times are not compared",
		[]string{"TestIdentity", "TestForgedRecords", "TestReap_killChecksTheIdentity", "TestRecover_ForgedIdentityIsNeverSignalled"},
		startTimesIgnored,
	},
	{
		lineIdentity, "boots are not compared",
		[]string{"TestIdentity", "TestForgedRecords", "TestRecover_ForgedIdentityIsNeverSignalled"},
		bootsIgnored,
	},
	{
		lineReap, "nobody asks whether the run is over", []string{"TestReap_removesOnlyWithProof"}, []mutant.Edit{
			mutant.After("(*candidate).proof", "over, ok := c.over()", "ok = true"),
		},
	},
	{
		lineReap, "nobody asks whether Nomad still knows it", []string{"TestReap_removesOnlyWithProof"}, []mutant.Edit{
			mutant.After("(*candidate).proof", "forgotten, ok := c.forgotten()", "ok = true"),
		},
	},
	{
		lineReap, "live solvers are ended without being named", []string{"TestReap_sparesALiveSolverUnlessNamed"}, []mutant.Edit{
			mutant.Replace("(*reaper).handle", "r.Kill == c.name()", `r.Kill == "" || r.Kill == c.name()`),
		},
	},
	{
		lineReap, "a run that Nomad knows is ended without insisting", []string{"TestReap_killLeavesToNomadWhatIsNomads"}, []mutant.Edit{
			mutant.Never("(*reaper).end", "c.state == supervisor.Running && !c.unknown && !r.Insist"),
		},
	},
	{
		lineReap, "an allocation with folders in it is taken for gone", []string{"TestReap_killEndsWhatNomadDoesNotKnow"}, []mutant.Edit{
			mutant.Never("leadsToMounts", "!e.IsDir() || !mounts[path] && !leadsToMounts(path, mounts)"),
			mutant.Replace("leadsToMounts", "err != nil || len(entries) == 0", "err != nil"),
		},
	},
	{
		lineReap, "what a plugin noted that is gone counts", []string{"TestUnclaimed_IsWhatAPluginSaysThatLives"}, []mutant.Edit{
			mutant.Never("(*Record).IsUnclaimed", "json.Unmarshal(data, &u) != nil || !u.By.Process().Alive(procfs.Root)"),
		},
	},
	{
		lineReap, "the record of a live solver is removed", []string{"TestReap_sparesALiveSolverUnlessNamed"}, []mutant.Edit{
			mutant.Drop("(*candidate).over", "case supervisor.Running:"),
			mutant.Drop("(*candidate).over", "case supervisor.Orphaned:"),
			mutant.Never("(*candidate).over", "!c.laterRun"),
			mutant.Replace("(*candidate).over", `fmt.Sprintf("its process %d is gone", _)`, `""`),
			mutant.Never("(*reaper).remove", "if err := c.record.TryLock(); err != nil"),
		},
	},
	{
		lineVersions, "a newer driver state is read", []string{"TestTaskState_Validate", "TestUpgrade_RecordsOfANewerVersionStayAsTheyAre"}, []mutant.Edit{
			mutant.Never("state.(*TaskState).Validate", "s.Version > TaskStateVersion"),
		},
	},
	{
		lineVersions, "newer records are read", []string{"TestUpgrade_RecordsOfANewerVersionStayAsTheyAre"}, []mutant.Edit{
			mutant.Never("ParseExit", "r.Version > ExitVersion"),
			mutant.Never("(*Spec).Validate", "s.Version > SpecVersion"),
			mutant.Never("DecodeDetails", "d.Version > DetailsVersion"),
		},
	},
}

// Whose a process is, is asked in many places: before a signal, when processes are
// listed, and of the driver state.
var (
	startTimesIgnored = []mutant.Edit{
		mutant.Always("procfs.Identity.Alive", "s.StartTicks == id.StartTicks"),
		mutant.Never("Record.Contradicts", "differ(uint64(r.PID), uint64(trusted.PID))"),
		mutant.Never("Record.Contradicts", "differ(r.StartTime, trusted.StartTime)"),
		mutant.Never("proctree.(*Tree).SignalMain", "p.StartTicks != t.MainStart"),
		mutant.Never("proctree.(*Tree).addRelatives", "main.StartTicks != t.MainStart"),
		mutant.Always("proctree.(*Tree).addRelatives", "p.StartTicks >= t.MainStart"),
		mutant.Never("(*Tree).MainPID", "started != t.list.MainStart"),
	}
	bootsIgnored = []mutant.Edit{
		mutant.Always("procfs.Identity.ThisBoot", "boot == id.BootID"),
		mutant.Begin("Record.Contradicts", "return false"),
		mutant.Always("(*Process).Tree", "r.BootID == boot"),
	}
)
