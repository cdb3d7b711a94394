// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What lies where a task's user can write.
const (
	linePlanted  = "Links, FIFOs, devices, forged records planted"
	lineFIFO     = "Nomad's log FIFO is exchanged"
	lineEndless  = "Bombs: endless output or lines"
	lineTerminal = "Outputs steer the operator's terminal"
)

// Files of the rooms that read and write there.
const (
	logsGo      = "supervisor/supervise/logs.go"
	outputGo    = "supervisor/supervise/output.go"
	runFolderGo = "lsdyna/rundir/folder.go"
)

var ofOutputs = []removal{
	{
		linePlanted, "files are written where they lie", []string{"TestStart_PlantedFilesOfTheDriversOwnNames", "TestWriteSwitch_followsNoLinkAndBlocksOnNothing"},
		[]mutant.Edit{
			mutant.In(runFolderGo, `temp := fmt.Sprintf(".%s.%d.%x", strings.TrimPrefix(name, "."), os.Getpid(), randomName())`, `temp := fmt.Sprintf("%[1]s", name, os.Getpid(), randomName())`),
			mutant.In(runFolderGo, "unix.Openat(dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)", "unix.Openat(dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)"),
		},
	},
	{
		linePlanted, "the solver's output goes where it is led", []string{"TestPlantedOutput"}, []mutant.Edit{
			mutant.In(outputGo, "		if err := moveAside(name); err != nil {", "		if err := error(nil); err != nil && moveAside(name) != nil {"),
			mutant.In(outputGo, "const flags = syscall.O_NOFOLLOW | syscall.O_CLOEXEC | syscall.O_NONBLOCK", "const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK"),
			mutant.In(outputGo, "syscall.O_CREAT|syscall.O_EXCL|flags", "syscall.O_CREAT|flags"),
			mutant.In(outputGo, "if w.Dev != r.Dev || w.Ino != r.Ino || r.Mode&syscall.S_IFMT != syscall.S_IFREG {", "if w.Dev != r.Dev || w.Ino != r.Ino {"),
		},
	},
	{
		// An entry is looked at before it is opened, and afterwards once more.
		linePlanted, "links in the run folder are followed", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.In(runFolderGo, "unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {", "unix.Fstatat(int(f.dir.Fd()), name, &st, 0); err != nil {"),
			mutant.In(runFolderGo, "unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|", "unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|"),
		},
	},
	{
		linePlanted, "FIFOs and devices in the run folder are read", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.In(runFolderGo, "	if st.Mode&unix.S_IFMT != unix.S_IFREG {\n		return st", "	if st.Mode&unix.S_IFMT == unix.S_IFLNK {\n		return st"),
			mutant.In(runFolderGo, "err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {", "err != nil {"),
		},
	},
	{
		linePlanted, "FIFOs in the run folder are waited for", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.In(runFolderGo, "	if st.Mode&unix.S_IFMT != unix.S_IFREG {\n		return st", "	if m := st.Mode & unix.S_IFMT; m != unix.S_IFREG && m != unix.S_IFIFO {\n		return st"),
			mutant.In(runFolderGo, "unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|", "unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NOCTTY|"),
		},
	},
	{
		lineFIFO, "it need not be a FIFO", []string{"TestPlantedLogTargets"}, []mutant.Edit{
			mutant.In(logsGo, "	if info.Mode().Type() != os.ModeNamedPipe {", "	if info == nil {"),
			mutant.In(logsGo, "if info, err := f.Stat(); err != nil || info.Mode().Type() != os.ModeNamedPipe {", "if info, err := f.Stat(); err != nil || info == nil {"),
		},
	},
	{
		lineFIFO, "the way to it may lead out of the allocation", []string{"TestPlantedLogTargets"}, []mutant.Edit{
			mutant.In(logsGo, "	info, err := root.Lstat(rel)\n", "	info, err := os.Lstat(s.path)\n"),
			mutant.In(logsGo, "root.OpenFile(rel, os.O_WRONLY|", "os.OpenFile(dir+\"/\"+rel, os.O_WRONLY|"),
		},
	},
	{
		lineEndless, "a line is kept as a whole", []string{"TestReader_keepsLittleOfALineWithoutEnd"}, []mutant.Edit{
			mutant.In("lsdyna/output/reader.go", "len(p) > room {", "len(p) > room && r.cut {"),
		},
	},
	{
		lineEndless, "a log that nobody reads holds up the end", []string{"TestBlockedReader"}, []mutant.Edit{
			mutant.In(logsGo, "		s.drainEnd = time.Now().Add(longestDrain)\n", "		s.drainEnd = time.Time{}\n"),
			mutant.In(logsGo, "			s.writing.SetWriteDeadline(time.Now().Add(stalledDrain))\n", "			s.writing.SetWriteDeadline(time.Time{})\n"),
		},
	},
	{
		lineTerminal, "status shows what users wrote", []string{"TestStatus_showsNoControlCharactersOfUsers"}, cleansNothing,
	},
	{
		// What is read of an output is made plain besides.
		lineTerminal, "inspect shows what solvers wrote", []string{"TestInspect_showsNoControlCharactersOfUsers"}, append(cleansNothing[:1:1],
			mutant.In("lsdyna/internal/sanitize/sanitize.go", "case c < ' ' || c == 0x7f ||", "case")),
	},
}

var cleansNothing = []mutant.Edit{
	mutant.In("command/screen.go", "		case r == utf8.RuneError || !unicode.IsPrint(r):", "		case r == utf8.RuneError && !unicode.IsPrint(r):"),
}
