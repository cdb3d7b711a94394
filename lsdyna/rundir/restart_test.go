// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// dumpLine is a progress line; event is padded to its column.
func dumpLine(cycle int, t float64, event string, second int) string {
	return fmt.Sprintf("%8d t %.4E dt 2.00E-06 %-29s03/02/25 10:%02d:%02d\n", cycle, t, event, second/60, second%60)
}

func smpRun() (Record, identity.Identity) {
	id := identity.Identity{Deck: "d", Solver: "s:1", Parallel: lsdyna.SMP, Precision: lsdyna.Double, Processors: 2, Ranks: 1}
	return Record{Identity: id, Started: time.Now().Add(-time.Hour)}, id
}

func choose(t *testing.T, dir string, record Record, wanted identity.Identity) RestartChoice {
	t.Helper()
	choice, err := SelectRestart(t.Context(), openFolder(t, dir), record, wanted, "stdout")
	must.NoError(t, err)
	must.NotEq(t, "", choice.Why)
	return choice
}

func TestSelectRestart_takesTheNewestCompleteDump(t *testing.T) {
	dir := t.TempDir()
	record, id := smpRun()
	must.Eq(t, "starting from the deck: the run has written no dump yet", choose(t, dir, record, id).Why)

	write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(200, .002, "write runrsf file", 2)+
		dumpLine(300, .003, "write d3dump02 file", 3)+dumpLine(400, .004, "write d3dump03 file", 4))
	for _, name := range []string{"d3dump01", "d3dump02", "d3dump03", "runrsf"} {
		write(t, dir, name, "dump")
	}
	choice := choose(t, dir, record, id)
	must.Eq(t, "d3dump02", choice.Dump)
	must.Eq(t, .003, choice.Said.Time)
	must.Eq(t, "restarting from d3dump02 (t = 0.003, cycle 300); d3dump03 was being written when the run ended", choice.Why)

	appendTo(t, filepath.Join(dir, "stdout"), dumpLine(401, .00401, "write d3plot file", 5))
	must.Eq(t, "d3dump03", choose(t, dir, record, id).Dump)

	write(t, dir, "d3dump03", "")
	must.Eq(t, "d3dump02", choose(t, dir, record, id).Dump)

	must.NoError(t, os.Remove(filepath.Join(dir, "d3dump02")))
	must.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "d3dump02")))
	must.Eq(t, "runrsf", choose(t, dir, record, id).Dump)

	choice = choose(t, dir, record, id)
	record.Chosen = &choice.Said
	record.RejectChosen()
	record.RejectChosen()
	must.Len(t, 1, record.Bad)
	choice = choose(t, dir, record, id)
	must.Eq(t, "d3dump01", choice.Dump)
	must.Eq(t, "restarting from d3dump01 (t = 0.001, cycle 100); d3dump03 is not there, or not with the files of all ranks; "+
		"d3dump02 is not there, or not with the files of all ranks; runrsf was tried and is bad", choice.Why)

	appendTo(t, filepath.Join(dir, "stdout"), dumpLine(500, .005, "write runrsf file", 6)+dumpLine(501, .00501, "write d3plot file", 6))
	must.Eq(t, "runrsf", choose(t, dir, record, id).Dump, must.Sprint("it was written anew"))
	must.NoError(t, os.Remove(filepath.Join(dir, "runrsf")))

	long := record.Started.Add(-time.Hour)
	must.NoError(t, os.Chtimes(filepath.Join(dir, "d3dump01"), long, long))
	must.Eq(t, "", choose(t, dir, record, id).Dump)
}

// The solver may be silent behind a dump for longer than it lives.
func TestSelectRestart_takesADumpThatWasSeenComplete(t *testing.T) {
	dir := t.TempDir()
	record, id := smpRun()
	write(t, dir, "stdout", dumpLine(300, .003, "write d3dump01 file", 3)+dumpLine(400, .004, "write d3dump02 file", 4))
	write(t, dir, "d3dump01", "dump")
	write(t, dir, "d3dump02", "dump")
	folder := openFolder(t, dir)
	must.NoError(t, folder.WriteRecord(record))
	follower, keeper := NewFollower(folder, FollowOptions{}), DumpKeeper{}
	for range dumpStill {
		must.NoError(t, keeper.Look(folder, poll(t, follower)))
	}
	recorded, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, "d3dump01", choose(t, dir, recorded, id).Dump)

	must.NoError(t, keeper.Look(folder, poll(t, follower)))
	must.NoError(t, keeper.Look(folder, poll(t, follower)))
	recorded, err = folder.ReadRecord()
	must.NoError(t, err)
	must.Len(t, 1, recorded.Whole)
	must.Eq(t, "d3dump02", choose(t, dir, recorded, id).Dump)
	must.StrContains(t, choose(t, dir, Record{Identity: id, Started: record.Started}, id).Why, "d3dump02 was being written when the run ended")

	t.Run("unless it was written to after that", func(t *testing.T) {
		appendTo(t, filepath.Join(dir, "d3dump02"), "more")
		must.Eq(t, "d3dump01", choose(t, dir, recorded, id).Dump)
		for range dumpStill + 1 {
			must.NoError(t, keeper.Look(folder, poll(t, follower)))
		}
		again, err := folder.ReadRecord()
		must.NoError(t, err)
		must.Len(t, 1, again.Whole)
		must.Eq(t, "d3dump02", choose(t, dir, again, id).Dump)
	})
	t.Run("and not of another line with its name", func(t *testing.T) {
		appendTo(t, filepath.Join(dir, "stdout"), dumpLine(400, .004, "write d3dump02 file", 9))
		must.Eq(t, "d3dump01", choose(t, dir, recorded, id).Dump)
	})
}

// Files have the times of their server, whose clock may be ahead of ours or behind, or
// is set while the run computes.
func TestSelectRestart_whateverTheServersClockSays(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": -24 * time.Hour, "ahead": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, id := smpRun()
			stamp := func(name string) {
				when := time.Now().Add(off)
				must.NoError(t, os.Chtimes(write(t, dir, name, "dump"), when, when))
			}
			write(t, dir, "d3dump02", "dump") // its line is lost
			record, err := NewRecord(t.Context(), openFolder(t, dir), id, "stdout")
			must.NoError(t, err)
			must.Len(t, 1, record.Before)
			must.NoError(t, openFolder(t, dir).WriteRecord(record))
			record, err = openFolder(t, dir).ReadRecord()
			must.NoError(t, err)

			write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(200, .002, "write d3dump02 file", 2)+dumpLine(200, .002, "write d3plot file", 2))
			stamp("d3dump01")
			choice := choose(t, dir, record, id)
			must.Eq(t, "d3dump01", choice.Dump)
			must.StrContains(t, choice.Why, "d3dump02 is older than this run")

			stamp("d3dump02")
			must.Eq(t, "d3dump02", choose(t, dir, record, id).Dump)
		})
	}
}

// setFolderClock gives file servers a clock that is ahead of ours, or behind.
func setFolderClock(t *testing.T, off time.Duration) {
	t.Helper()
	was := folderClock
	folderClock = func(fd int) (time.Time, error) {
		now, err := was(fd)
		return now.Add(off), err
	}
	t.Cleanup(func() { folderClock = was })
}

// An output that cannot be read may be the one that tells of the newest dump.
func TestSelectRestart_doesNotGuessWhatAnOutputSays(t *testing.T) {
	dir := t.TempDir()
	record, id := smpRun()
	folder := openFolder(t, dir)
	write(t, dir, "stdout.1", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "stdout", dumpLine(200, .002, "write d3dump02 file", 2)+dumpLine(200, .002, "write d3plot file", 2))
	write(t, dir, "d3dump01", "dump")
	write(t, dir, "d3dump02", "dump")
	must.NoError(t, os.Chmod(filepath.Join(dir, "stdout"), 0))
	err := creds.User{UID: 65534, GID: 65534}.Do(func() error {
		_, err := SelectRestart(t.Context(), folder, record, id, "stdout")
		return err
	})
	must.ErrorIs(t, err, os.ErrPermission)
	must.ErrorContains(t, err, "have it made readable, or remove it")
	must.NoError(t, os.Chmod(filepath.Join(dir, "stdout"), 0o644))
	must.Eq(t, "d3dump02", choose(t, dir, record, id).Dump)
}

func TestNoteWhole(t *testing.T) {
	dump, files := output.Dump{Name: "d3dump01", Cycle: 7}, DumpFiles{Name: "d3dump01", Bytes: 4}
	t.Run("a folder without the record of a run stays as it is", func(t *testing.T) {
		dir := t.TempDir()
		folder := openFolder(t, dir)
		must.NoError(t, folder.NoteWhole(dump, files))
		_, err := folder.ReadRecord()
		must.ErrorIs(t, err, os.ErrNotExist)
		must.NoError(t, folder.WriteRecord(Record{}))
		must.NoError(t, folder.NoteWhole(dump, files))
		recorded, err := folder.ReadRecord()
		must.NoError(t, err)
		must.Eq(t, Record{}, recorded)
	})
	t.Run("a record that cannot be read is not replaced", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, RecordFile, "damaged")
		must.Error(t, openFolder(t, dir).NoteWhole(dump, files))
		text, err := os.ReadFile(filepath.Join(dir, RecordFile))
		must.NoError(t, err)
		must.Eq(t, "damaged", string(text))
	})
	t.Run("the last ones are kept", func(t *testing.T) {
		folder := openFolder(t, t.TempDir())
		record, _ := smpRun()
		must.NoError(t, folder.WriteRecord(record))
		for dump.Cycle = range 2 * maxWhole {
			must.NoError(t, folder.NoteWhole(dump, files))
		}
		recorded, err := folder.ReadRecord()
		must.NoError(t, err)
		must.Len(t, maxWhole, recorded.Whole)
		must.Eq(t, 2*maxWhole-1, recorded.Whole[maxWhole-1].Cycle)
	})
}

// A run that was started many times, e.g. without a licence, leaves a stdout each
// time. The dump of the one start that ran must be found among all of them.
func TestSelectRestart_findsADumpBehindManyFormerOutputs(t *testing.T) {
	for _, told := range []string{"stdout.1", "messag"} {
		t.Run(told, func(t *testing.T) {
			dir := t.TempDir()
			record, id := smpRun()
			write(t, dir, told, dumpLine(300, .003, "write d3dump01 file", 1)+dumpLine(400, .004, "write d3plot file", 2))
			write(t, dir, "d3dump01", "dump")
			for n := range 300 {
				write(t, dir, fmt.Sprintf("stdout.%d", n+2), "*** Error 70043 (OTH+43)\n")
			}
			write(t, dir, "stdout", "*** Error 70043 (OTH+43)\n")
			write(t, dir, "stdout.old", dumpLine(900, .009, "write d3dump01 file", 9)) // the user's own copy
			choice := choose(t, dir, record, id)
			must.Eq(t, "d3dump01", choice.Dump)
			must.Eq(t, 300, choice.Said.Cycle)
		})
	}
}

// After Nomad has moved a folder to another client, every file in it is new.
func TestSelectRestart_leavesDumpsOfOtherRunsAlone(t *testing.T) {
	dir := t.TempDir()
	_, id := smpRun()
	write(t, dir, "stdout.1", dumpLine(300, .003, "write d3dump01 file", 1)+dumpLine(600, .006, "write d3dump02 file", 2)+dumpLine(600, .006, "write d3plot file", 2))
	for _, name := range []string{"d3dump01", "d3dump02"} {
		write(t, dir, name, "dump")
	}
	record, err := NewRecord(t.Context(), openFolder(t, dir), id, "stdout")
	must.NoError(t, err)
	must.Len(t, 2, record.Earlier)
	write(t, dir, "stdout", dumpLine(10, .0001, "write d3plot file", 60))
	for _, name := range []string{"d3dump01", "d3dump02"} {
		must.NoError(t, os.Chtimes(filepath.Join(dir, name), time.Now(), time.Now().Add(time.Minute)))
	}
	must.Eq(t, RestartChoice{Why: "starting from the deck: the run has written no dump yet"}, choose(t, dir, record, id))

	appendTo(t, filepath.Join(dir, "stdout"), dumpLine(200, .002, "write d3dump01 file", 61)+dumpLine(200, .002, "write d3plot file", 61))
	must.Eq(t, "d3dump01", choose(t, dir, record, id).Dump)
}

func TestSelectRestart_tellsOfADumpThatWasCut(t *testing.T) {
	dir := t.TempDir()
	record, id := smpRun()
	write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "d3dump01", "dump")
	write(t, dir, "d3dump02", "du")
	choice := choose(t, dir, record, id)
	must.Eq(t, "d3dump01", choice.Dump)
	must.StrContains(t, choice.Why, "; d3dump02 is not complete: the solver did not say that it wrote it")
}

func TestSelectRestart_goesOnFromARestart(t *testing.T) {
	dir := t.TempDir()
	record, id := smpRun()
	write(t, dir, "messag", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "messag01", dumpLine(150, .0015, "write d3plot file", 20)) // killed before its first dump
	write(t, dir, "d3dump01", "dump")
	must.Eq(t, "d3dump01", choose(t, dir, record, id).Dump)
}

func TestSelectRestart_mppNeedsTheFilesOfAllRanks(t *testing.T) {
	dir := t.TempDir()
	record, _ := smpRun()
	record.Identity.Parallel, record.Identity.Processors, record.Identity.Ranks = lsdyna.MPP, 2, 2
	write(t, dir, "mes0000", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "d3dump01.0000", "dump")
	must.Eq(t, "", choose(t, dir, record, record.Identity).Dump)
	write(t, dir, "d3dump01.0001", "dump")
	must.Eq(t, "d3dump01", choose(t, dir, record, record.Identity).Dump)
}

func TestSelectRestart_namesADumpWithItsJobID(t *testing.T) {
	dir := t.TempDir()
	record, _ := smpRun()
	record.Identity.JobID = "j7"
	write(t, dir, "j7.messag", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "j7.d3dump01", "dump")
	must.Eq(t, "j7.d3dump01", choose(t, dir, record, record.Identity).Dump)
}

func TestSelectRestart_anotherRunBeginsWithTheDeck(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "stdout", dumpLine(100, .001, "write d3dump01 file", 1)+dumpLine(100, .001, "write d3plot file", 1))
	write(t, dir, "d3dump01", "dump")
	record, id := smpRun()
	must.Eq(t, "d3dump01", choose(t, dir, record, id).Dump)
	for words, change := range map[string]func(*identity.Identity){
		"deck":      func(i *identity.Identity) { i.Deck = "e" },
		"solver":    func(i *identity.Identity) { i.Solver = "s:2" },
		"precision": func(i *identity.Identity) { i.Precision = lsdyna.Single },
		"in 2":      func(i *identity.Identity) { i.Ranks = 2 },
		"jobid":     func(i *identity.Identity) { i.JobID = "x" },
		"has 4":     func(i *identity.Identity) { i.Processors = 4 },
	} {
		wanted := id
		change(&wanted)
		choice := choose(t, dir, record, wanted)
		must.Eq(t, "", choice.Dump, must.Sprint(words))
		must.StrContains(t, choice.Why, words)
	}
}

func TestRecord_roundTrip(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	_, err := folder.ReadRecord()
	must.ErrorIs(t, err, os.ErrNotExist)
	record, _ := smpRun()
	record.Started = record.Started.UTC().Round(0)
	dump := output.Dump{Name: "d3dump01", Time: .001, Cycle: 100, Wall: time.Unix(1741000000, 0).UTC(), Followed: true}
	record.Earlier, record.Chosen, record.Bad = []output.Dump{dump}, &dump, []output.Dump{dump}
	record.Whole = []WholeDump{{Dump: dump, Bytes: 1 << 40}}
	must.NoError(t, folder.WriteRecord(record))
	got, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, record, got)

	write(t, dir, RecordFile, strings.Repeat("x", maxRecord+1))
	_, err = folder.ReadRecord()
	must.ErrorContains(t, err, "too large")
	must.ErrorIs(t, err, ErrBadRecord)
	must.NoError(t, os.Remove(filepath.Join(dir, RecordFile)))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, RecordFile), 0o644))
	_, err = folder.ReadRecord()
	must.ErrorIs(t, err, ErrNotRegular)
	must.ErrorIs(t, err, ErrBadRecord)
	must.NoError(t, folder.SetRecordAside())
	_, err = folder.ReadRecord()
	must.ErrorIs(t, err, os.ErrNotExist)
	must.FileExists(t, filepath.Join(dir, BadRecordFile))
}

// A folder may have dumps of a run without a jobid, or with another one.
func TestSelectRestart_findsADumpBesideOneOfAnotherJobID(t *testing.T) {
	for name, other := range map[string]string{"none": "d3dump01", "another": "j6.d3dump01"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, id := smpRun()
			id.JobID = "j7"
			write(t, dir, other, "another run's")
			folder := openFolder(t, dir)
			record, err := NewRecord(t.Context(), folder, id, "stdout")
			must.NoError(t, err)
			line := dumpLine(100, .001, "write d3dump01 file", 1) + dumpLine(101, .00101, "write d3plot file", 1)
			write(t, dir, "stdout", line)
			own := write(t, dir, "j7.d3dump01", "its own")
			must.Eq(t, "j7.d3dump01", choose(t, dir, record, id).Dump)

			copied := time.Now().Add(-time.Hour) // the folder may be a copy, and its times say nothing
			must.NoError(t, os.Chtimes(own, copied, copied))
			must.Eq(t, "j7.d3dump01", choose(t, dir, record, id).Dump)
		})
	}
}
