// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settle

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// over is a run that is over, and what it says.
type over struct {
	*Run
	said []string
}

func newOver(t *testing.T, d state.Details, p Patience, open func() (*rundir.Folder, error)) *over {
	t.Helper()
	w := watch.Start(watch.Options{Open: open, Follow: &rundir.FollowOptions{}})
	t.Cleanup(w.Close)
	o := &over{Run: &Run{
		ID: state.ID{Alloc: "a", Task: "t", Invocation: "i"}, Details: &d, Watcher: w, Patience: p,
		Stopped: func() bool { return false }, Logger: hclog.NewNullLogger(),
	}}
	o.Say = func(format string, args ...any) { o.said = append(o.said, fmt.Sprintf(format, args...)) }
	return o
}

// flaky is a folder that answers its openings one after the other so; the last
// answer stays.
func flaky(dir string, answers ...error) func() (*rundir.Folder, error) {
	return func() (*rundir.Folder, error) {
		err := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		if err != nil {
			return nil, err
		}
		return rundir.Open(filepath.Dir(dir), filepath.Base(dir))
	}
}

// hung is a folder whose file server does not answer before the test ends.
func hung(t *testing.T) func() (*rundir.Folder, error) {
	answer := make(chan struct{})
	t.Cleanup(func() { close(answer) })
	return func() (*rundir.Folder, error) {
		<-answer
		return nil, unix.EIO
	}
}

func TestRun_OutputsThatCannotBeReadMakeNoFailure(t *testing.T) {
	exit := verdict.Exit{Exit: output.Exit{Known: true}}
	for name, c := range map[string]struct {
		open   func() (*rundir.Folder, error)
		silent time.Duration
		want   string
	}{
		"a server that does not answer": {hung(t), time.Nanosecond, "unknown: outputs unreadable: the run folder does not answer"},
		"a folder that is gone":         {flaky("/nonexistent/folder", nil), time.Hour, "unknown: outputs unreadable: the run folder /x is not there any more: was it removed,"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOver(t, state.Details{}, Patience{Silent: c.silent, Missing: time.Nanosecond, Stopped: time.Hour}, c.open)
			v, err := r.ReadOutputs(t.Context())
			must.True(t, rundir.Unreadable(err))
			o := verdict.Decide(v.Snapshot, exit, verdict.Cause{}, err, "/x")
			must.Eq(t, output.Unknown, o.Kind)
			must.StrHasPrefix(t, c.want, o.Reason)
			must.Eq(t, 1, verdict.Result(o, exit.Exit).ExitCode)
			o = verdict.Decide(v.Snapshot, verdict.Exit{Rebooted: true}, verdict.Cause{}, err, "/x")
			must.StrHasPrefix(t, "host rebooted, solver lost; last known: outputs unreadable: ", o.Reason)
		})
	}
}

func TestRun_OutputsAreWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		stopped bool
		want    time.Duration
	}{
		"no answer":                  {rundir.ErrNoAnswer, false, 3},
		"no folder":                  {rundir.ErrNotOpen, false, 2},
		"no answer, after a stop":    {rundir.ErrNoAnswer, true, 1},
		"no folder, after a stop":    {rundir.ErrNotOpen, true, 1},
		"a disk that fails":          {unix.EIO, false, 3},
		"a server that was replaced": {unix.ESTALE, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := Run{Patience: Patience{Silent: 3, Missing: 2, Stopped: 1}, Stopped: func() bool { return c.stopped }}
			must.Eq(t, c.want, r.patience(c.err))
		})
	}
}

// A mount that comes back is first a folder without what is mounted there.
func TestRun_FolderIsMissingFromWhenItIs(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "stdout"), []byte(" N o r m a l    t e r m i n a t i o n\n"), 0o644))
	open := flaky(dir, unix.ENOTCONN, unix.ENOTCONN, unix.ENOTCONN, unix.ENOENT, nil)
	r := newOver(t, state.Details{}, Patience{Silent: time.Hour, Missing: readPause, Stopped: time.Hour}, open)
	_, err := r.ReadOutputs(t.Context())
	must.NoError(t, err)
}

// The record for restarts in a folder that is another run's by now is that one's.
func TestRun_SettlesNoOtherRunsRecord(t *testing.T) {
	dir := t.TempDir()
	folder, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, folder.Close()) })
	must.NoError(t, folder.WriteRecord(rundir.Record{Chosen: &output.Dump{Name: "d3dump01"}}))
	before, err := folder.ReadRecord()
	must.NoError(t, err)
	claim, err := ownership.Of(folder).Claim(ownership.Owner{Run: "another"})
	must.NoError(t, err)
	t.Cleanup(claim.Drop)
	r := newOver(t, state.Details{}, Patience{}, flaky(dir, nil))
	r.Note(t.Context(), End{Outcome: output.Outcome{Kind: output.Completed}})
	now, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, before, now)
}

// A run that completed must not be begun anew because its folder failed for a moment.
func TestRun_SettlesTheRecordOfACompletedRunInAFolderThatFails(t *testing.T) {
	settle := func(t *testing.T, patience time.Duration) (*over, error) {
		dir := t.TempDir()
		r := newOver(t, state.Details{}, Patience{Silent: patience, Missing: patience, Stopped: patience}, flaky(dir, unix.ENOTCONN, unix.ENOTCONN, nil))
		r.settleRecord(t.Context(), End{Outcome: output.Outcome{Kind: output.Completed}})
		_, err := os.Stat(filepath.Join(dir, rundir.RecordFile))
		return r, err
	}
	t.Run("and answers again", func(t *testing.T) {
		r, err := settle(t, time.Hour)
		must.NoError(t, err)
		must.SliceEmpty(t, r.said)
	})
	t.Run("for long", func(t *testing.T) {
		r, err := settle(t, 0)
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.SliceLen(t, 1, r.said)
		must.StrContains(t, r.said[0], "That the run has completed cannot be noted in its folder")
	})
}

// A folder's record says of a run that its watch has stopped what a later start is not to
// come to again, unless it has completed all the same.
func TestRun_KeepsWhatItsModelWasStoppedFor(t *testing.T) {
	why := verdict.Cause{Kind: output.Stopped, Reason: "stopped by watch: hourglass energy", Model: true}
	for name, c := range map[string]struct {
		end  End
		deck string // of the folder's record
		want string
	}{
		"for what its model does":   {End{Why: why, Outcome: output.Outcome{Kind: output.Stopped}}, "a.k", why.Reason},
		"for something else":        {End{Why: verdict.Cause{Reason: "no licence"}, Outcome: output.Outcome{Kind: output.LicenceError}}, "a.k", ""},
		"the record is of another":  {End{Why: why, Outcome: output.Outcome{Kind: output.Stopped}}, "b.k", ""},
		"it completed all the same": {End{Why: why, Outcome: output.Outcome{Kind: output.Completed}}, "a.k", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			folder, err := rundir.Open(dir, ".")
			must.NoError(t, err)
			t.Cleanup(func() { must.NoError(t, folder.Close()) })
			record := rundir.Record{}
			record.Identity.Deck = c.deck
			must.NoError(t, folder.WriteRecord(record))
			newOver(t, state.Details{Deck: "a.k"}, Patience{}, flaky(dir, nil)).Note(t.Context(), c.end)
			now, err := folder.ReadRecord()
			must.NoError(t, err)
			must.Eq(t, c.want != "", now.Watch != nil)
			if now.Watch != nil {
				must.Eq(t, c.want, now.Watch.Reason)
			}
			must.Eq(t, c.end.Outcome.Success(), now.Completed != nil)
		})
	}
}
