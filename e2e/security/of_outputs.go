// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What lies where a task's user can write.
const (
	linePlanted     = "Links, FIFOs, devices, forged records planted"
	lineHidden      = "Another's file is moved into the run folder"
	lineFIFO        = "Nomad's log FIFO is exchanged"
	lineEndless     = "Bombs: endless output or lines"
	lineLargeRecord = "A folder full of outputs, or a large environment"
	lineEndlessDeck = "A deck without an end"
	lineSilent      = "A file system of the user's never answers"
	lineTerminal    = "Outputs steer the operator's terminal"
	linePage        = "A page about a run holds a script of the task's user"
)

var ofOutputs = []removal{
	{
		linePage, "what is not printable passes", []string{"TestRender_textOfUsersIsText"}, []mutant.Edit{
			mutant.Never("clean", "r == utf8.RuneError || !unicode.IsPrint(r)"),
		},
	},
	{
		linePage, "the page's policy is another sheet's", []string{"TestRender_policy"}, []mutant.Edit{
			mutant.Replace("styleHash", "[]byte(style)", `[]byte(style + " ")`),
		},
	},
	{
		linePage, "arguments are shown as they are", []string{"TestCommandLine_withoutSecrets"}, []mutant.Edit{
			mutant.Never("isSecretName", "strings.Contains(name, part)"),
		},
	},
	{
		linePage, "any file is replaced", []string{"TestSave_overwritesOnlyPages"}, []mutant.Edit{
			mutant.Replace("isOurs", "string(begin[:n]) == page.Marker", "n >= 0"),
		},
	},
	{
		linePlanted, "files are written where they lie",
		[]string{"TestStart_PlantedFilesOfTheDriversOwnNames", "TestWriteSwitch_followsNoLinkAndBlocksOnNothing"},
		[]mutant.Edit{
			mutant.Replace("(*Folder).replace", "temp := _", "temp := name"),
			mutant.Replace("(*Folder).replace", "unix.O_EXCL", "unix.O_TRUNC"),
			mutant.Replace("(*Folder).replace", "unix.O_NOFOLLOW", "unix.O_NONBLOCK"),
		},
	},
	{
		linePlanted, "the solver's output goes where it is led", []string{"TestPlantedOutput"}, []mutant.Edit{
			mutant.Drop("(*outputFile).plan", `l.MoveAside("keep the former output file "+name, name)`),
			mutant.DropFlag("(*outputFile).plan", "syscall.O_NOFOLLOW"),
			mutant.DropFlag("(*outputFile).plan", "syscall.O_EXCL"),
			mutant.Never("(*Step).compare", "s.file.Mode&syscall.S_IFMT != syscall.S_IFREG"),
		},
	},
	{
		// An entry is looked at before it is opened, and afterwards once more.
		linePlanted, "links in the run folder are followed", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.Replace("(*Folder).stat", "unix.AT_SYMLINK_NOFOLLOW", "0"),
			mutant.DropFlag("(*Folder).Open", "unix.O_NOFOLLOW"),
		},
	},
	{
		linePlanted, "FIFOs and devices in the run folder are read", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.Replace("(*Folder).stat", "st.Mode&unix.S_IFMT != unix.S_IFREG", "st.Mode&unix.S_IFMT == unix.S_IFLNK"),
			mutant.Never("(*Folder).Open", "st.Mode&unix.S_IFMT != unix.S_IFREG"),
		},
	},
	{
		linePlanted, "FIFOs in the run folder are waited for", []string{"TestFolder_opensRegularFilesOnlyAndNeverBlocks"}, []mutant.Edit{
			mutant.Replace("(*Folder).stat", "st.Mode&unix.S_IFMT != unix.S_IFREG", "st.Mode&unix.S_IFMT != unix.S_IFREG && st.Mode&unix.S_IFMT != unix.S_IFIFO"),
			mutant.DropFlag("(*Folder).Open", "unix.O_NONBLOCK"),
		},
	},
	{
		lineHidden, "root watches the run folder",
		[]string{
			"TestTask_TellsNothingOfAFileThatItsUserMayNotRead", "TestTask_InAPrivateFolderThatRootMayNotEnter",
			"TestDriver_RunsInAPrivateFolderOfAServerThatDoesNotTrustRoot",
		},
		[]mutant.Edit{rootWatches},
	},
	{
		lineHidden, "commands read as root",
		[]string{"TestFollowers_readNothingThatTheTasksUserMayNot", "TestFollowers_getIntoAPrivateFolderAsItsUser"},
		[]mutant.Edit{
			mutant.SetField("follow", "As", "nil"),
		},
	},
	{
		lineFIFO, "it need not be a FIFO", []string{"TestPlantedLogTargets"}, []mutant.Edit{
			mutant.Never("(*stream).open", "if info.Mode().Type() != os.ModeNamedPipe"),
			mutant.Never("(*stream).open", "if info, err := f.Stat(); err != nil || info.Mode().Type() != os.ModeNamedPipe"),
		},
	},
	{
		lineFIFO, "the way to it may lead out of the allocation", []string{"TestPlantedLogTargets"}, []mutant.Edit{
			mutant.Replace("(*stream).open", "root.Lstat(rel)", "os.Lstat(s.path)"),
			mutant.Replace("(*stream).open", "root.OpenFile", "os.OpenFile"),
			mutant.SetArg("(*stream).open", "os.OpenFile", 0, `dir + "/" + rel`),
		},
	},
	{
		lineLargeRecord, "all old outputs are named", []string{"TestSnapshot_ofAVeryFullFolder", "TestStart_InAFolderWithVeryManyOutputs"}, []mutant.Edit{
			mutant.Always("(*Folder).Snapshot", "left >= len(name)+oldBytes"),
		},
	},
	{
		lineLargeRecord, "a run's record has no bound", []string{"TestRecord_isBounded"}, []mutant.Edit{
			mutant.Never("(*Folder).WriteRecord", "len(data) > maxRecord"),
		},
	},
	{
		lineLargeRecord, "a task may have any size", []string{"TestStart_ATaskThatNomadCouldNotHandBackIsRefused"}, []mutant.Edit{
			mutant.Never("(*TaskSettings).CheckHandle", "size > maxHandle"),
		},
	},
	{
		lineLargeRecord, "details have no bound", []string{"TestDetails_WhatCannotBeReadIsNotWritten"}, []mutant.Edit{
			mutant.Never("(*Details).Encode", "len(data) > maxDetails"),
		},
	},
	{
		lineEndlessDeck, "there is no largest deck", []string{"TestStart_EndlessDeckIsRefused", "TestRead_isBounded", "TestRead_growsNoLargerWhileItIsRead"}, []mutant.Edit{
			mutant.Never("(*reading).newFile", "st.Size > d.left"),
			mutant.Never("(*deckFile).advance", "r.left < 0"),
		},
	},
	{
		lineEndlessDeck, "a deck has all the time", []string{"TestStart_DeckThatTakesTooLong"}, []mutant.Edit{
			mutant.Drop("Patience.watch", "giveUp(ErrSlow)"),
		},
	},
	{
		lineEndless, "a line is kept as a whole", []string{"TestReader_keepsLittleOfALineWithoutEnd"}, []mutant.Edit{
			mutant.Never("output.(*Reader).hold", "len(p) > room"),
		},
	},
	{
		lineEndless, "a command's output is kept as a whole", []string{"TestExecTask_KeepsLittleOfEndlessOutput"}, []mutant.Edit{
			mutant.SetArg("execution.Check", "newTail", 0, "256<<20"),
		},
	},
	{
		lineEndless, "a log that nobody reads holds up the end", []string{"TestBlockedReader"}, []mutant.Edit{
			mutant.Replace("(*logCopier).finish", "s.drainEnd = _", "s.drainEnd = time.Time{}"),
			mutant.SetArg("(*logCopier).finish", "s.writing.SetWriteDeadline", 0, "time.Time{}"),
			mutant.Always("(*logCopier).finish", "time.Since(began) < LongestDrain+drainSlack && (time.Since(began) < stalledDrain || !l.hung())"),
		},
	},
	{
		lineSilent, "a supervisor waits for the rest of the log", []string{"TestFinish_WaitsForNoFileSystem"}, []mutant.Edit{
			mutant.Always("(*logCopier).finish", "time.Since(began) < LongestDrain+drainSlack && (time.Since(began) < stalledDrain || !l.hung())"),
		},
	},
	{
		lineSilent, "a supervisor that cannot end keeps the lock, and its task", []string{"TestDone_WaitsForNoSupervisorThatHangs"}, []mutant.Edit{
			mutant.Replace("(*Process).supervisorHangs", "r.Supervisor().Known()", "false"),
			mutant.Never("(*Process).supervisorHangs", "p.lookWhetherGone() >= drainPatience"),
		},
	},
	{
		lineSilent, "a start waits for its launch stage", []string{"TestStart_EndsWithItsContext"}, []mutant.Edit{
			mutant.Replace("handshake", "_ = socket.SetDeadline(past)", "_ = past"),
		},
	},
	{
		lineSilent, "a launch that cannot be ended counts as ended", []string{"TestStart_SaysWhatCannotBeEnded"}, []mutant.Edit{
			mutant.Never("supervisor.Start", "errors.Is(ended, ErrNotEnded)"),
		},
	},
	{
		lineTerminal, "status shows what users wrote", []string{"TestStatus_showsNoControlCharactersOfUsers"}, cleansNothing,
	},
	{
		lineTerminal, "history shows what users wrote", []string{"TestHistory_showsNoControlCharactersOfUsers"}, cleansNothing,
	},
	{
		lineTerminal, "status shows what an owner forged", []string{"TestStatus_believesNoForgedFile"}, cleansNothing,
	},
	{
		lineTerminal, "Nomad is told what users wrote", []string{"TestRedact_isOnePrintableLine", "TestStart_WhatIsToldOfAFolderIsPrintable"}, []mutant.Edit{
			mutant.Never("events.Plain", "case r == utf8.RuneError || !unicode.IsPrint(r):"),
		},
	},
	{
		// What is read of an output is made plain besides.
		lineTerminal, "inspect shows what solvers wrote", []string{"TestInspect_showsNoControlCharactersOfUsers"}, append(cleansNothing[:1:1],
			mutant.Never("sanitize.Line", "c < ' '"),
			mutant.Never("sanitize.Line", "c == 0x7f")),
	},
}

var cleansNothing = []mutant.Edit{
	mutant.Never("screen.Clean", "case r == utf8.RuneError || !unicode.IsPrint(r):"),
}
