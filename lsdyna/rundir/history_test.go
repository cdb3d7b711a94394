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

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestHistory_KeepsHowTheLastRunsBeganAndEnded(t *testing.T) {
	dir := t.TempDir()
	folder, err := Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	runs, err := folder.History()
	must.NoError(t, err)
	must.SliceEmpty(t, runs)

	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	ended, code := began.Add(time.Hour), 137
	for i := range maxPastRuns + 3 {
		name := fmt.Sprint("a/t/", i)
		must.NoError(t, folder.NoteRun(output.PastRun{Run: name, Started: began, Restart: "auto", Began: "restarting from d3dump01"}))
		must.NoError(t, folder.NoteRun(output.PastRun{Run: name, Started: began, Ended: &ended, Outcome: output.Killed, Reason: strings.Repeat("ä", 3000), ExitCode: &code, Signal: 9}))
	}
	runs, err = folder.History()
	must.NoError(t, err)
	must.Len(t, maxPastRuns, runs)
	last := runs[len(runs)-1]
	must.Eq(t, fmt.Sprint("a/t/", maxPastRuns+2), last.Run)
	must.Eq(t, "restarting from d3dump01", last.Began)
	must.Eq(t, "auto", last.Restart)
	must.Eq(t, strings.Repeat("ä", maxPastText)+"…", last.Reason)
	must.Eq(t, 9, last.Signal)
	info, err := os.Stat(filepath.Join(dir, HistoryFile))
	must.NoError(t, err)
	must.Less(t, maxHistory, info.Size())

	for name, content := range map[string]string{"not valid": "{", "too large": strings.Repeat(" ", maxHistory+1)} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, HistoryFile), []byte(content), 0o644))
		_, err = folder.History()
		must.ErrorContains(t, err, "read history", must.Sprint(name))
		must.NoError(t, folder.NoteRun(output.PastRun{Run: "b"}))
		runs, err = folder.History()
		must.NoError(t, err)
		must.Len(t, 1, runs)
	}
}
