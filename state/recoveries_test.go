// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestRecoveries_SayHowManyAndWhen(t *testing.T) {
	at := time.Date(2026, 11, 30, 2, 33, 4, 0, time.Local)
	must.Eq(t, "", Recoveries{}.String())
	must.Eq(t, "taken up once by a new plugin, last at 2026-11-30 02:33:04", Recoveries{Count: 1, Last: at}.String())
	must.Eq(t, "taken up 9 times by a new plugin, last at 2026-11-30 02:33:04", Recoveries{Count: 9, Last: at}.String())
}

func TestRecoveries_AreWhatWasWritten(t *testing.T) {
	r := &Record{Dir: t.TempDir()}
	must.Eq(t, Recoveries{}, r.ReadRecoveries())
	first := time.Date(2026, 11, 30, 2, 33, 4, 0, time.UTC)
	for _, n := range []Recoveries{{Count: 1, First: first, Last: first, Words: "x", Same: 1}, {Count: 2, First: first, Last: first.Add(time.Hour), Words: "y", Same: 1}} {
		must.NoError(t, r.WriteRecoveries(n))
		must.Eq(t, n, r.ReadRecoveries())
	}
}

// What is noted beside a run's end does not stand in the way of its removal, nor bring a
// removed record back.
func TestRecoveries_AreNotWrittenToARecordThatIsRemoved(t *testing.T) {
	for range 200 {
		r := &Record{Dir: filepath.Join(t.TempDir(), "alloc", "task", "run")}
		must.NoError(t, os.MkdirAll(r.Dir, 0o700))
		over := make(chan struct{})
		go func() {
			defer close(over)
			for r.WriteRecoveries(Recoveries{Count: 1}) == nil {
			}
		}()
		must.NoError(t, r.Remove())
		<-over
		must.ErrorIs(t, r.WriteRecoveries(Recoveries{Count: 2}), fs.ErrNotExist)
		must.DirNotExists(t, r.Dir)
	}
}
