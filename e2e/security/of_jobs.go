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
	lineDeck        = "Deck, include, dump or jobid name files elsewhere"
	lineArgs        = "`args` steer the MPI launcher"
	lineUnderAgents = "All of this under a real agent"
)

var ofJobs = []removal{
	{
		lineMounts, "mounts are passed over", []string{"TestCores_ComeBackAfterAFailedStart"}, []mutant.Edit{
			mutant.In("driver/start.go", "if len(s.cfg.Mounts) > 0 || len(s.cfg.Devices) > 0 {", "if len(s.cfg.Devices) > 0 {"),
		},
	},
	{
		lineMounts, "devices are passed over", []string{"TestCores_ComeBackAfterAFailedStart"}, []mutant.Edit{
			mutant.In("driver/start.go", "if len(s.cfg.Mounts) > 0 || len(s.cfg.Devices) > 0 {", "if len(s.cfg.Mounts) > 0 {"),
		},
	},
	{
		lineProgram, "any command is taken", []string{"TestTaskConfig_ValidateSaysWhatToWrite"}, []mutant.Edit{
			mutant.In("driver/taskconfig.go", "	case !c.AllowCommand:\n", "	case !c.AllowCommand && false:\n"),
		},
	},
	{
		lineProgram, "a solver need not be on the list", []string{"TestTaskConfig_ValidateSaysWhatToWrite"}, []mutant.Edit{
			mutant.In("driver/taskconfig.go", "_, ok := c.Solvers[t.Solver]; !ok {", "_, ok := c.Solvers[t.Solver]; !ok && false {"),
		},
	},
	{
		lineProgram, "commands are allowed by default", []string{"TestConfig_AsOperatorsWriteIt"}, []mutant.Edit{
			mutant.In("driver/config.go", `withDefault("allow_command", "bool", "false")`, `withDefault("allow_command", "bool", "true")`),
		},
	},
	{
		lineAccount, "root is a user as any other", []string{"TestUser"}, []mutant.Edit{rootAllowed},
	},
	{
		lineAccount, "no user is denied", []string{"TestTaskUser_DeniedIDs", "TestStart_DeniedUserIsRefused"}, []mutant.Edit{
			mutant.In("driver/user.go", "if uids.contain(u.UID) {", "if uids.contain(u.UID) && false {"),
		},
	},
	{
		lineAccount, "no group is denied", []string{"TestTaskUser_DeniedIDs"}, []mutant.Edit{
			mutant.In("driver/user.go", "if gids.contain(gid) {", "if gids.contain(gid) && false {"),
		},
	},
	{
		lineWorkDir, "an absolute work_dir may be anywhere", []string{"TestTaskConfig_ValidateSaysWhatToWrite"}, []mutant.Edit{
			mutant.In("driver/taskconfig.go", `filepath.IsAbs(t.WorkDir) && c.workRoot(t.WorkDir) == "" {`, `filepath.IsAbs(t.WorkDir) && t.WorkDir == "" {`),
		},
	},
	{
		lineWorkDir, "a work root is looked for before .. is resolved", []string{"TestTaskConfig_ValidateSaysWhatToWrite"}, []mutant.Edit{
			mutant.In("driver/taskconfig.go", "	clean := filepath.Clean(path)\n	for", "	clean := path\n	for"),
		},
	},
	{
		lineWorkDir, "work_dir may lead upwards", []string{"TestOpen_staysBelowItsBase"}, []mutant.Edit{
			mutant.In("lsdyna/rundir/folder.go", "	if !filepath.IsLocal(rel) {\n", "	if rel == \"\" {\n"),
		},
	},
	{
		lineWorkDir, "work_dir may lead through links", []string{"TestOpen_staysBelowItsBase"}, []mutant.Edit{
			mutant.In("lsdyna/rundir/folder.go", "unix.Openat(fd, part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|", "unix.Openat(fd, part, unix.O_RDONLY|unix.O_DIRECTORY|"),
		},
	},
	{
		lineOthers, "root acts in the user's place",
		[]string{"TestStart_LeavesAnotherUsersFolderAlone", "TestStart_SeesNothingBehindAClosedDoor", "TestAsUser_LeavesNoThreadBehindWithItsRights"},
		rootActs,
	},
	{
		lineOthers, "nobody asks whether the user may write there", []string{"TestStart_LeavesAnotherUsersFolderAlone"}, []mutant.Edit{
			mutant.In("driver/access.go", "asUser(u, func() error { return mayUse(folder) }); err != nil {", "asUser(u, func() error { return nil }); err != nil {"),
			mutant.In("driver/start.go", "	return asUser(s.user, func() error {\n		if err := s.folder.WriteFiles", "	return asUser(supervisor.User{}, func() error {\n		if err := s.folder.WriteFiles"),
		},
	},
	{
		lineOthers, "the way to the folder is not gone as the user", []string{"TestStart_SeesNothingBehindAClosedDoor"}, []mutant.Edit{
			mutant.In("driver/access.go", "unix.Stat(folder.Path(), &named)", "unix.Fstat(int(dir.Fd()), &named)"),
		},
	},
	{
		lineOthers, "threads keep a user's rights", []string{"TestAsUser_LeavesNoThreadBehindWithItsRights"}, []mutant.Edit{
			mutant.In("driver/access.go", "		if own.takeBack() == nil {", "		if own.gid == 0 {"),
		},
	},
	{
		lineOthers, "the thread that acts as the user keeps root's groups", []string{"TestAsUser_LeavesNoThreadBehindWithItsRights"}, []mutant.Edit{
			mutant.In("driver/access.go", "		if g > 0 {", "		if g >= 0 {"),
		},
	},
	{
		lineDeck, "names may lead upwards", []string{"TestBuild_namesOfTheJobLeadNowhereElse", "TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.In("lsdyna/names.go", "case !filepath.IsLocal(name):", "case !filepath.IsLocal(name) && false:"),
		},
	},
	{
		lineDeck, "a jobid may hold a path", []string{"TestBuild_namesOfTheJobLeadNowhereElse"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", "(r == '_' || r == '-' || r == '.'):", "(r == '_' || r == '-' || r == '.' || r == '/'), r == '.':"),
		},
	},
	{
		lineDeck, "a dump may lie anywhere", []string{"TestBuild_namesOfTheJobLeadNowhereElse"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", `ValidatePath("restart", o.Restart); err != nil {`, `ValidatePath("restart", "x"); err != nil {`),
		},
	},
	{
		lineDeck, "a deck's links may lead out", []string{"TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.In("lsdyna/rundir/folder.go", "	info, err := root.Stat(name)\n", "	info, err := os.Stat(f.path + \"/\" + name)\n"),
			mutant.In("lsdyna/rundir/folder.go", "root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)", "os.OpenFile(f.path+\"/\"+name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)"),
		},
	},
	{
		lineDeck, "a deck may be a FIFO", []string{"TestCheckInput_tellsTheUserWhatToDo"}, []mutant.Edit{
			mutant.In("lsdyna/rundir/folder.go", "if err == nil && !info.Mode().IsRegular() {", "if err == nil && info.IsDir() {"),
			mutant.In("lsdyna/rundir/folder.go", "if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {", "if info, err := file.Stat(); err != nil || info.IsDir() {"),
		},
	},
	{
		lineDeck, "root reads the deck", []string{"TestStart_ReadsTheDeckWithTheUsersRights"}, []mutant.Edit{
			mutant.In("driver/start.go", "asUser(s.user, func() error { return s.folder.CheckInput(s.task.Input) })", "asUser(supervisor.User{}, func() error { return s.folder.CheckInput(s.task.Input) })"),
		},
	},
	{
		lineDeck, "root reads what the deck includes", []string{"TestStart_ReadsTheDeckWithTheUsersRights"}, []mutant.Edit{
			mutant.In("driver/restart.go", "	err := asUser(s.user, func() (err error) {\n		now, err =", "	err := asUser(s.cfgUser(), func() (err error) {\n		now, err ="),
			mutant.In("driver/user.go", "// idRanges are", "func (s *start) cfgUser() supervisor.User { return supervisor.User{} }\n\n// idRanges are"),
		},
	},
	{
		lineArgs, "args override what was checked", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", "if ours, ok := ours[key]; ok {", "if ours, ok := ours[key]; ok && false {"),
		},
	},
	{
		lineArgs, "args override what was checked, behind a dash", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", "	key = strings.TrimLeft(key, \"-\")\n", ""),
		},
	},
	{
		lineArgs, "an entry of args may hold several", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", "return r <= ' ' || r == 0x7f }) {\n		return fmt.Errorf(\"args has", "return r == 0x7f }) {\n		return fmt.Errorf(\"args has"),
		},
	},
	{
		lineArgs, "args come before the solver", []string{"TestBuild_argsAreTheSolversAlone"}, []mutant.Edit{
			mutant.In("lsdyna/launch/build.go", "append(append(launch.args, s.Path), args...)", "append(append(append(launch.args, o.Args...), s.Path), args...)"),
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
			mutant.In("driver/start.go", "		s.decode, s.findUser, s.endPredecessors, s.openFolder,", "		s.decode, s.openRecord, s.findUser, s.endPredecessors, s.openFolder,"),
			mutant.In("driver/start.go", "	if s.record, err = s.d.store.Create(s.id); err != nil {\n		return structs.NewRecoverableError(err, true)\n	}\n	details", "	details"),
			mutant.In("driver/start.go", "func (s *start) findUser() (err error) {", "func (s *start) openRecord() (err error) {\n	s.record, err = s.d.store.Create(s.id)\n	return err\n}\n\nfunc (s *start) findUser() (err error) {"),
			mutant.In("driver/start.go", "		if err := s.record.Remove(); err != nil {", "		if err := error(nil); err != nil {"),
		},
	},
}

var rootAllowed = mutant.In("driver/user.go", "if found.UID == 0 && !c.AllowRoot {", "if found.UID == 0 && !c.AllowRoot && false {")

var rootActs = []mutant.Edit{mutant.In("driver/access.go", "if os.Geteuid() != 0 || u.UID == 0 {", "if os.Geteuid() != 0 || u.UID >= 0 {")}
