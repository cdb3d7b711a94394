// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// Whose records they are.
const (
	lineStateDir = "Somebody prepares `state_dir`"
	lineWay      = "Somebody exchanges a folder above it"
	lineRecords  = "Records are read or written by others"
	lineNames    = "A task's name leads out of `state_dir`"
	lineIdentity = "Root signals the wrong process"
	lineReap     = "`reap` ends a run or loses an exit status"
	lineVersions = "A record of another version"
)

var ofRecords = []removal{
	{
		// The folder above is looked at, too: tasks/ is below state_dir.
		lineStateDir, "a foreign owner is taken", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.In("state/secure.go", "case ok && int(stat.Uid) != os.Geteuid():", "case ok && int(stat.Uid) != os.Geteuid() && false:"),
			mutant.In("state/secure.go", "uid != 0 && uid != os.Geteuid() {", "uid != 0 && uid != os.Geteuid() && false {"),
		},
	},
	{
		lineStateDir, "a folder that others may enter is taken, and made",
		[]string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared", "TestOpen_MakesFoldersForTheOwnerAlone"}, []mutant.Edit{
			mutant.In("state/secure.go", "info.Mode().Perm()&0o077 != 0:", "info.Mode().Perm()&0o077 != 0 && false:"),
			mutant.In("state/secure.go", "os.MkdirAll(dir, 0o700)", "os.MkdirAll(dir, 0o755)"),
		},
	},
	{
		lineStateDir, "a link is taken", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.In("state/secure.go", "info, err := os.Lstat(dir)", "info, err := os.Stat(dir)"),
		},
	},
	{
		lineStateDir, "the lock may be a link", []string{"TestOpen_RefusesWhatSomebodyElseCouldHavePrepared"}, []mutant.Edit{
			mutant.In("state/store.go", "os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)", "os.O_RDWR|os.O_CREATE, 0o600)"),
		},
	},
	{
		lineStateDir, "two plugins have it at once", []string{"TestOpen_OnePluginAtATime"}, []mutant.Edit{
			mutant.In("state/store.go", "unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB)", "unix.Flock(int(held.Fd()), unix.LOCK_SH|unix.LOCK_NB)"),
		},
	},
	{
		lineWay, "nobody asks who may write above it", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.In("state/secure.go", "if perm&0o002 != 0 || perm&0o020 != 0 && stat.Gid != 0 {", "if perm == 0 && stat.Gid == 0 {"),
		},
	},
	{
		lineWay, "nobody asks whose the folders above are", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.In("state/secure.go", "uid != 0 && uid != os.Geteuid() {", "uid != 0 && uid != os.Geteuid() && false {"),
		},
	},
	{
		lineWay, "links on the way are not looked at", []string{"TestOpen_RefusesAWayThatOthersLead"}, []mutant.Edit{
			mutant.In("state/secure.go", "info, err := os.Lstat(at)", "info, err := os.Stat(at)"),
		},
	},
	{
		// The supervisor has a umask of its own besides.
		lineRecords, "records are made for everybody to read", []string{"TestInheritsNothingElse"}, []mutant.Edit{
			mutant.In("pidfile/write.go", "syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)", "syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o644)"),
			mutant.In("supervisor/supervise/supervisor.go", "syscall.Umask(0o077)", "syscall.Umask(0o022)"),
		},
	},
	{
		lineRecords, "the environment is written to the record", []string{"TestInheritsNothingElse"}, []mutant.Edit{
			mutant.In("supervisor/start.go", "	spec, err := ReadSpec(l.Dir)\n", "	_ = os.WriteFile(l.Dir+\"/env\", []byte(strings.Join(l.Env, \"\\n\")), 0o600)\n	spec, err := ReadSpec(l.Dir)\n"),
		},
	},
	{
		lineRecords, "a record's folder may be a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.In("state/store.go", "info, err := os.Lstat(r.Dir)", "info, err := os.Stat(r.Dir)"),
		},
	},
	{
		lineRecords, "details may be read through a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.In("state/record.go", "os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK", "os.O_RDONLY|unix.O_NONBLOCK"),
		},
	},
	{
		lineRecords, "details are written through a link", []string{"TestRecord_LinksAreNotFollowed"}, []mutant.Edit{
			mutant.In("state/record.go", "		err = os.Rename(tmp.Name(), path)\n", "		err = errors.Join(os.WriteFile(path, data, 0o600), os.Remove(tmp.Name()))\n"),
		},
	},
	{
		lineRecords, "a pid file may be a link", []string{"TestReadTakesNothingButAModestFile"}, []mutant.Edit{
			mutant.In("pidfile/write.go", "syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|", "syscall.O_RDONLY|syscall.O_NONBLOCK|"),
		},
	},
	{
		lineRecords, "a pid file may be a FIFO", []string{"TestReadTakesNothingButAModestFile"}, []mutant.Edit{
			mutant.In("pidfile/write.go", "if info.Mode&syscall.S_IFMT != syscall.S_IFREG {", "if info.Mode == 0 {"),
		},
	},
	{
		lineRecords, "a pid file may be of any size", []string{"TestReadTakesNothingButAModestFile"}, []mutant.Edit{
			mutant.In("pidfile/write.go", "	if len(data) > limit {\n		return nil, fmt.Errorf(\"read %s: larger than %d bytes\", path, limit)\n	}\n", ""),
		},
	},
	{
		lineNames, "any name will do", []string{"TestStore_RefusesIDsThatLeadOut"}, []mutant.Edit{
			mutant.In("state/store.go", "		if part == \"\" || part ==", "		if false && part == \"\" || false && part =="),
			mutant.In("state/store.go", "part == \"..\" || len(part) > 200 || strings.ContainsAny(part, \"/\\x00\") {", "part == \"..\" && false || len(part) > 200 {"),
		},
	},
	{
		lineIdentity, "start times are not compared",
		[]string{"TestIdentity", "TestForgedRecords", "TestReap_killChecksTheIdentity", "TestRecover_ForgedIdentityIsNeverSignalled"}, startTimesIgnored,
	},
	{
		lineIdentity, "boots are not compared",
		[]string{"TestIdentity", "TestForgedRecords", "TestRecover_ForgedIdentityIsNeverSignalled"}, bootsIgnored,
	},
	{
		lineReap, "nobody asks whether the run is over", []string{"TestReap_removesOnlyWithProof"}, []mutant.Edit{
			mutant.In("command/reapproof.go", "	over, ok := c.over()\n	if !ok {", "	over, ok := c.over()\n	if !ok && c.record == nil {"),
		},
	},
	{
		lineReap, "nobody asks whether Nomad still knows it", []string{"TestReap_removesOnlyWithProof"}, []mutant.Edit{
			mutant.In("command/reapproof.go", "	forgotten, ok := c.forgotten()\n	if !ok {", "	forgotten, ok := c.forgotten()\n	if !ok && c.record == nil {"),
		},
	},
	{
		lineReap, "live solvers are ended without being named", []string{"TestReap_sparesALiveSolverUnlessNamed"}, []mutant.Edit{
			mutant.In("command/reap.go", "	if r.kill == c.name() {\n		row.Action", "	if r.kill == \"\" || r.kill == c.name() {\n		row.Action"),
		},
	},
	{
		lineReap, "the record of a live solver is removed", []string{"TestReap_sparesALiveSolverUnlessNamed"}, []mutant.Edit{
			mutant.In("command/reapproof.go", "	case supervisor.Running:\n		return \"it runs\", false\n", ""),
			mutant.In("command/reapproof.go", "	case supervisor.Orphaned:\n		return fmt.Sprintf(\"its solver lives without a supervisor; -kill %s ends it\", c.name()), false\n", ""),
			mutant.In("command/reapproof.go", "	if err == nil && len(pids) > 0 && !c.laterRun {", "	if err == nil && len(pids) > 0 && c.laterRun {"),
			mutant.In("command/reapproof.go", "	return fmt.Sprintf(\"its process %d is gone\", rec.PID), true", "	return \"\", true"),
			mutant.In("command/reap.go", "	if err := c.record.TryLock(); err != nil {", "	if err := c.record.TryLock(); err != nil && c.record == nil {"),
		},
	},
	{
		lineVersions, "a newer driver state is read", []string{"TestHandle_Validate", "TestUpgrade_RecordsOfANewerVersionStayAsTheyAre"}, []mutant.Edit{
			mutant.In("state/handle.go", "case h.Version > HandleVersion:", "case h.Version > HandleVersion+1:"),
		},
	},
	{
		lineVersions, "newer records are read", []string{"TestUpgrade_RecordsOfANewerVersionStayAsTheyAre"}, []mutant.Edit{
			mutant.In("supervisor/supervise/exit.go", "r.Version < 1 || r.Version > ExitVersion:", "r.Version < 1:"),
			mutant.In("supervisor/supervise/spec.go", "s.Version < 1 || s.Version > SpecVersion:", "s.Version < 1:"),
			mutant.In("state/record.go", "	if d.Version > DetailsVersion {", "	if d.Version < 0 {"),
		},
	},
}

// Whose a process is, is asked in many places: before a signal, when processes are
// listed, and of the driver state.
var (
	startTimesIgnored = []mutant.Edit{
		mutant.In("pidfile/identity.go", "err == nil && ticks == startTime &&", "err == nil && ticks != 0 &&"),
		mutant.In("pidfile/identity.go", "differ(uint64(r.PID), uint64(trusted.PID)) || differ(r.StartTime, trusted.StartTime) ||", "differ(0, 1) ||"),
		mutant.In("supervisor/watch.go", "return err == nil && now == start", "return err == nil && now != 0"),
		mutant.In("supervisor/internal/proctree/signal.go", "p.start != t.MainStart || ", ""),
		mutant.In("supervisor/internal/proctree/proctree.go", "session && ok && main.start != t.MainStart {", "session && ok && main.start == 0 {"),
		mutant.In("supervisor/internal/proctree/proctree.go", "p.session == t.Main && p.start >= t.MainStart)", "p.session == t.Main)"),
		mutant.In("supervisor/tree.go", "started != t.list.MainStart {", "started == 0 {"),
	}
	bootsIgnored = []mutant.Edit{
		mutant.In("pidfile/identity.go", "err != nil || boot != bootID {", "err != nil || boot == \"\" {"),
		mutant.In("pidfile/identity.go", "differ(uint64(r.PID), uint64(trusted.PID)) || differ(r.StartTime, trusted.StartTime) ||\n		r.BootID != \"\" && trusted.BootID != \"\" && r.BootID != trusted.BootID ||\n		differ(uint64(r.SupervisorPID), uint64(trusted.SupervisorPID)) || differ(r.SupervisorStartTime, trusted.SupervisorStartTime)", "differ(0, 1)"),
		mutant.In("supervisor/watch.go", "err != nil || this != bootID || start == 0 {", "err != nil || this == \"\" || start == 0 {"),
		mutant.In("supervisor/process.go", "if r.BootID == boot && r.StartTime != 0 {", "if boot != \"\" && r.StartTime != 0 {"),
	}
)
