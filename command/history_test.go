// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// past is a state_dir with the history of six runs, on two days.
func pastRuns(t *testing.T) string {
	t.Helper()
	dir := nodetest.StateDir(t)
	log := history.NewLog()
	must.NoError(t, log.Open(dir))
	reached, end := 0.05, 0.06
	for i, e := range []history.Entry{
		{JobID: "crash-front", User: "dora", Solver: "r14-smp-d", Cores: 8, CoreSeconds: 8 * 3600, Outcome: "completed", Reason: "normal termination at the end time"},
		{JobID: "crash-rear", User: "dora", Solver: "r14-mpp-d", Cores: 64, CoreSeconds: 64 * 3600, Outcome: "error", Reason: "error termination: *** Error 40500"},
		{JobID: "drop", User: "emil", Solver: "r14-smp-d", Cores: 4, CoreSeconds: 4 * 3600, Outcome: "killed", Reason: "ended by signal 9 (SIGKILL)"},
		{JobID: "crash-front", User: "emil", Solver: "r14-smp-d", Cores: 8, CoreSeconds: 8 * 3600, Outcome: "completed", Licences: 8},
		{JobID: "big", User: "dora", Solver: "r14-mpp-d", Cores: 32, CoreSeconds: 32 * 3600, Outcome: "completed", Nodes: 2, NodeIndex: 1},
		{JobID: "lost", User: "dora", Cores: 2, Outcome: "unknown"},
	} {
		ended := time.Date(2026, 11, 28+i/3, 12, i, 0, 0, time.Local)
		e.Run, e.AllocID, e.Task = fmt.Sprintf("%08d-aaaa/solve/%d", i, i), fmt.Sprintf("%08d-aaaa", i), "solve"
		e.Started, e.Ended, e.Noted, e.Time, e.EndTime = ended.Add(-time.Hour), &ended, ended, &reached, &end
		if e.JobID == "lost" {
			e.Ended = nil
		}
		must.NoError(t, log.Note(e, false))
	}
	return dir
}

func TestHistory_filters(t *testing.T) {
	dir := pastRuns(t)
	for name, c := range map[string]struct {
		args []string
		want string // the jobs
	}{
		"all":               {nil, "crash-front crash-rear drop crash-front big lost"},
		"a job":             {[]string{"-job", "drop"}, "drop"},
		"jobs":              {[]string{"-job", "crash-*"}, "crash-front crash-rear crash-front"},
		"a user":            {[]string{"-user", "emil"}, "drop crash-front"},
		"a solver":          {[]string{"-solver", "r14-mpp-?"}, "crash-rear big"},
		"an outcome":        {[]string{"-outcome", "completed"}, "crash-front crash-front big"},
		"an allocation":     {[]string{"-alloc", "00000002"}, "drop"},
		"since a day":       {[]string{"-since", "2026-11-29"}, "crash-front big lost"},
		"until a day":       {[]string{"-until", "2026-11-29"}, "crash-front crash-rear drop"},
		"between two times": {[]string{"-since", "2026-11-28 12:01", "-until", "2026-11-28T12:02"}, "crash-rear"},
		"the last two":      {[]string{"-last", "2"}, "big lost"},
		"the last of a job": {[]string{"-last", "1", "-job", "crash-front"}, "crash-front"},
		"a day long ago":    {[]string{"-until", "60000d"}, ""},
		"several at once":   {[]string{"-user", "dora", "-outcome", "completed", "-solver", "*smp*"}, "crash-front"},
		"no such job":       {[]string{"-job", "none"}, ""},
		"another namespace": {[]string{"-namespace", "cae"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, append([]string{"history", "-json", "-state-dir", dir}, c.args...)...)
			must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
			must.Eq(t, "", r.errout)
			var report historyReport
			must.NoError(t, json.Unmarshal([]byte(r.out), &report))
			must.NotNil(t, report.Runs)
			var jobs []string
			for _, e := range report.Runs {
				jobs = append(jobs, e.JobID)
			}
			must.Eq(t, c.want, strings.Join(jobs, " "))
		})
	}
}

func TestHistory_drawsRunsAndTheirSums(t *testing.T) {
	dir := pastRuns(t)
	t.Setenv("COLUMNS", "140")
	r := call(t, "history", "-state-dir", dir)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.Eq(t, strings.TrimPrefix(`
ENDED                   JOB          TASK   ALLOC     USER  SOLVER     CORES  CORE HOURS    RAN          TIME  LICENCES  OUTCOME
2026-11-28 12:00:00     crash-front  solve  00000000  dora  r14-smp-d      8        8.00  1h00m  0.05 of 0.06         -  completed
2026-11-28 12:01:00     crash-rear   solve  00000001  dora  r14-mpp-d     64        64.0  1h00m  0.05 of 0.06         -  error
2026-11-28 12:02:00     drop         solve  00000002  emil  r14-smp-d      4        4.00  1h00m  0.05 of 0.06         -  killed
2026-11-29 12:03:00     crash-front  solve  00000003  emil  r14-smp-d      8        8.00  1h00m  0.05 of 0.06         8  completed
2026-11-29 12:04:00     big          solve  00000004  dora  r14-mpp-d     32        32.0  1h00m  0.05 of 0.06         -  completed
by 2026-11-29 12:05:00  lost         solve  00000005  dora                 2        0.00      -  0.05 of 0.06         -  unknown

OUTCOME    RUNS  CORE HOURS
completed     2        48.0
error         1        64.0
killed        1        4.00
unknown       1        0.00
all           5       116.0
`, "\n"), r.out)

	t.Setenv("COLUMNS", "60")
	narrow := call(t, "history", "-why", "-state-dir", dir, "-outcome", "error").out
	must.StrContains(t, narrow, "\n    error termination: *** Error 40500\n")
	for l := range strings.Lines(narrow) {
		must.LessEq(t, 61, len(l), must.Sprint(l))
	}
	must.StrContains(t, call(t, "history", "-state-dir", dir, "-job", "none").out, "No run.")
}

func TestHistory_saysWhatToDo(t *testing.T) {
	dir := pastRuns(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no outcome":    {[]string{"-outcome", "failed"}, `-outcome "failed" is none: it is one of completed, stopped, error, license, killed, unknown`},
		"no pattern":    {[]string{"-job", "[a"}, `-job "[a" is no pattern: write * and ?`},
		"no time":       {[]string{"-since", "yesterday"}, `-since "yesterday" is no time: write a day (2026-11-29)`},
		"a future span": {[]string{"-until", "-3h"}, "-until"},
		"no number":     {[]string{"-last", "-1"}, "name how many runs, 1 or more"},
		"an argument":   {[]string{"crash"}, `it takes no argument "crash"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, append([]string{"history", "-state-dir", dir}, c.args...)...)
			must.Eq(t, exitUsage, r.code)
			must.StrContains(t, r.errout, c.want)
			must.StrContains(t, r.errout, "help history")
		})
	}
	r := call(t, "history", "-state-dir", nodetest.StateDir(t), "-json")
	must.Eq(t, exitOK, r.code)
	must.StrContains(t, r.out, `"runs": []`)
	must.StrContains(t, r.out, `"sums": []`)
}

func TestHistory_showsNoControlCharactersOfUsers(t *testing.T) {
	dir := nodetest.StateDir(t)
	log := history.NewLog()
	must.NoError(t, log.Open(dir))
	evil := "\x1b[2J\nevil"
	must.NoError(t, log.Note(history.Entry{
		Run: "a/t/i", JobID: evil, User: evil, Solver: evil, Task: evil, AllocID: evil, Outcome: evil, Reason: evil,
	}, false))
	must.False(t, strings.ContainsAny(call(t, "history", "-why", "-state-dir", dir).out, "\x1b"))
}

func TestHistory_saysWhatAPowerCutLeft(t *testing.T) {
	dir := pastRuns(t)
	files, err := filepath.Glob(filepath.Join(dir, "history", "runs-*"))
	must.NoError(t, err)
	must.Len(t, 1, files)
	f, err := os.OpenFile(files[0], os.O_WRONLY|os.O_APPEND, 0)
	must.NoError(t, err)
	_, err = f.WriteString(`{"version":1,"run":"b/t/`)
	must.NoError(t, err)
	must.NoError(t, f.Close())
	r := call(t, "history", "-state-dir", dir)
	must.Eq(t, exitOK, r.code)
	must.StrContains(t, r.errout, "1 line cannot be read")
}

func TestMetrics_countRunsThatHaveEnded(t *testing.T) {
	out := call(t, "metrics", "-state-dir", pastRuns(t), "-sysfs", twoSockets.Sysfs(t)).out
	for _, line := range []string{
		"# TYPE lsdyna_runs_total counter", "# TYPE lsdyna_core_seconds_total counter",
		`lsdyna_runs_total{outcome="completed"} 2`, `lsdyna_runs_total{outcome="license"} 0`,
		`lsdyna_core_seconds_total{outcome="error"} 230400`, `lsdyna_core_seconds_total{outcome="completed"} 172800`,
	} {
		must.StrContains(t, out, "\n"+line+"\n", must.Sprint(out))
	}
}

func TestMetrics_withoutAHistoryThatCanBeRead(t *testing.T) {
	dir := nodetest.StateDir(t)
	must.NoError(t, os.Mkdir(filepath.Join(dir, "history"), 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "history", "totals.json"), []byte("{"), 0o600))
	r := call(t, "metrics", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
	must.Eq(t, exitOK, r.code)
	must.StrContains(t, r.errout, "counters of runs that have ended are left out")
	must.StrContains(t, r.out, "lsdyna_physical_cores 8")
	must.StrNotContains(t, r.out, "lsdyna_runs_total")
}
