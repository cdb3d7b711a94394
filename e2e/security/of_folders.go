// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What a run folder that several runs want is kept by.
const (
	lineTwoSolvers   = "Two solvers come into one run folder"
	lineOthersFolder = "A run takes another's outputs for its own"
	lineForgedOwner  = "Lock or owner record are links"
)

var ofFolders = []removal{
	{
		lineTwoSolvers, "nothing keeps a second run out", []string{
			"TestClaim_theSecondRunIsRefusedUntilTheFirstGivesTheFolderBack", "TestFolder_OneSolverWhateverClientStartsIt", "TestReleaseFolder_refusesWhereARunLives",
		}, []mutant.Edit{
			mutant.Replace("lockKind.try", "return false, errHeld", "return true, nil"),
			noRecordJudged,
		},
	},
	{
		lineTwoSolvers, "the supervisor does not hold the lock", []string{"TestFolder_StaysTheRunsWhateverDies"}, []mutant.Edit{
			mutant.Replace("supervisor.forkSupervisor", "cmp.Or(l.Folder, null)", "null"),
			noRecordJudged,
		},
	},
	{
		lineTwoSolvers, "a lock that two hold ends with the first", []string{"TestClaim_theLockIsHeldByWhoeverHasItLast"}, []mutant.Edit{
			mutant.Begin("(*Claim).Drop", "_ = unlock(c.lock)"),
		},
	},
	{
		lineTwoSolvers, "a run that may live is taken for over", []string{"TestClaim_byTheRecord"}, []mutant.Edit{
			mutant.Begin("Owner.lives", "return false"),
		},
	},
	{
		lineTwoSolvers, "what /proc hides from the user is gone", []string{"TestClaim_behindHidepid"}, []mutant.Edit{
			mutant.Begin("Owner.lives", "return o.livesHere()"),
		},
	},
	{
		lineTwoSolvers, "a start of this plugin has no process", []string{"TestClaim_withoutLocksAStartOfTheSamePlugin"}, []mutant.Edit{
			mutant.Begin("ownership.isClaimedHere", "return false"),
		},
	},
	{
		lineTwoSolvers, "a run that is taken up again has no record for a moment", []string{"TestClaim_withoutLocksARunKeepsWhatItHas"}, []mutant.Edit{
			mutant.Begin("(*Folder).succeed", "_ = unix.Unlinkat(f.Fd(), OwnerFile, 0)"),
		},
	},
	{
		lineTwoSolvers, "without locks a record is replaced that nobody has judged", []string{"TestClaim_withoutLocksARecordThatChangedIsJudgedAgain"}, []mutant.Edit{
			mutant.Replace("(*Folder).checkTurn", "!now.isSame(t.of)", "!now.isSame(now)"),
		},
	},
	{
		lineTwoSolvers, "without locks two come after the same run", []string{"TestClaim_withoutLocksTheTurnIsAnothers"}, []mutant.Edit{
			mutant.Replace("(*Folder).takeTurn", "!has.isGone(inTurn.Node)", "false"),
		},
	},
	{
		lineTwoSolvers, "without locks a run that is about to leave has left", []string{"TestClaim_withoutLocksARunThatIsLeavingHasNotLeft"}, []mutant.Edit{
			mutant.Replace("(*Folder).takeTurn", "!has.isGone(inTurn.Node)", "!has.isOver(o, \"\")"),
		},
	},
	{
		lineTwoSolvers, "without locks a turn that has ended is passed", []string{"TestClaim_withoutLocksATurnThatEndedIsNotPassed"}, []mutant.Edit{
			mutant.Begin("(*Folder).checkTurn", "passed = nil"),
		},
	},
	{
		lineTwoSolvers, "another machine's run is over with its boot", []string{"TestClaim_byTheRecord"}, []mutant.Edit{
			mutant.Begin("Node.isSameMachine", "return true"),
		},
	},
	{
		lineTwoSolvers, "what another container hides is gone", []string{"TestClaim_byTheRecord"}, []mutant.Edit{
			mutant.Begin("Node.isHiddenFrom", "return false"),
		},
	},
	{
		lineTwoSolvers, "without locks the last one wins", []string{"TestClaim_withoutLocksARecordThatCameMeanwhileStays"}, []mutant.Edit{
			mutant.Begin("(*Folder).claimExclusively", "return f.writeOwner(o)"),
		},
	},
	{
		lineTwoSolvers, "the lock of a file that is gone counts", []string{"TestClaim_aLockFileThatWasReplacedMeanwhile"}, []mutant.Edit{
			mutant.Begin("(*Folder).checkLock", "return nil"),
		},
	},
	{
		lineTwoSolvers, "a supervisor's lock is lost with it", []string{"TestWatcher_Hold", "TestFolder_StaysTheRunsWhateverDies"}, []mutant.Edit{
			mutant.Begin("(*Watcher).hold", "return"),
			noRecordJudged,
		},
	},
	{
		lineTwoSolvers, "folders are told apart by their paths", []string{"TestFolder_AnAliasIsTheSameFolder"}, []mutant.Edit{
			mutant.Begin("(*Folder).ID", "return DirID{}"),
			mutant.Replace("lockKind.try", "return false, errHeld", "return true, nil"),
			noRecordJudged,
		},
	},
	{
		lineOthersFolder, "what lies in the folder is always the run's", []string{"TestWatcher_Hold", "TestFolder_AnotherRunsOutputsAreNotItsOwn"}, []mutant.Edit{
			mutant.Begin("(*Watcher).checkMine", "return nil"),
		},
	},
	{
		lineOthersFolder, "the record for restarts is always the run's", []string{"TestRun_SettlesNoOtherRunsRecord"}, []mutant.Edit{
			mutant.Replace("(*Run).settleRecord", "ownership.Of(f).CheckOwner(r.ID.String())", "error(nil)"),
		},
	},
	{
		lineOthersFolder, "a run that is over keeps nothing", []string{"TestWatcher_Finish_keepsTheFolderUntilItIsRead"}, []mutant.Edit{
			mutant.Begin("(*Folder).isRead", "return false"),
			mutant.Begin("(*Folder).Keep", "return nil, nil"),
		},
	},
	{
		lineForgedOwner, "the lock file is followed", []string{"TestClaim_whatIsNoFile"}, []mutant.Edit{
			mutant.DropFlag("(*Folder).openLock", "unix.O_NOFOLLOW"),
		},
	},
	{
		lineForgedOwner, "any run may be named", []string{"TestUnseen_NothingIsJudgedBut"}, []mutant.Edit{
			mutant.Begin("driver.ranIn", "return true"),
		},
	},
	{
		lineForgedOwner, "names are printed as they are", []string{"TestOwner_forgedNamesAreOneLine"}, []mutant.Edit{
			mutant.Begin("ownership.printable", "return name"),
		},
	},
	{
		lineForgedOwner, "everybody can hold the lock", []string{"TestClaim_othersCannotOpenTheLock"}, []mutant.Edit{
			mutant.Drop("(*Folder).openLock", "if st.Mode&0o777 != lockMode {\n_ = unix.Fchmod(fd, lockMode)\n}"),
		},
	},
}

// noRecordJudged leaves the lock alone to keep runs apart.
var noRecordJudged = mutant.Begin("(*Folder).judge", "return nil, nil")
