// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// statusDir is where the site's node tells jobs' owners how their tasks are.
func (s *site) statusDir() string { return filepath.Join(s.scratch, "status") }

// asUser runs one of the operators' commands as another user than the agent's.
func (s *site) asUser(uid uint32, args ...string) (printed string, ok bool) {
	s.t.Helper()
	as := []string{fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups", "--", binary(s.t, "nomad-driver-lsdyna")}
	cmd := s.Inside(within(s.t), "setpriv", append(as, args...)...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// past is what the history command tells.
func (s *site) past(args ...string) (runs []history.Entry) {
	s.t.Helper()
	printed, ok := s.plugin(append([]string{"history", "-json"}, args...)...)
	must.True(s.t, ok, must.Sprint(printed))
	var report struct{ Runs []history.Entry }
	must.NoError(s.t, json.Unmarshal([]byte(printed), &report))
	return report.Runs
}

// Runs end in every way while Nomad's agent is there, is away, and has forgotten them;
// each is in the history once.
func TestDriver_EachRunIsInTheHistoryOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	completed := s.submit(jobHCL{name: "completed", folder: s.deck("completed", "solid_bar_impact"), config: "ncpu = 1"})
	completed.wait(api.AllocClientStatusComplete)
	failed := s.submit(jobHCL{name: "failed", folder: s.deck("failed", "error_negative_volume"), config: "ncpu = 1"})
	failed.wait(api.AllocClientStatusFailed)
	killed := s.start(jobHCL{name: "killed", folder: s.deck("killed", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	s.waitCycles(killed)
	must.NoError(t, unix.Kill(killed.pidFile().PID, unix.SIGKILL))
	killed.wait(api.AllocClientStatusFailed)

	unseen := s.start(jobHCL{name: "unseen", folder: s.deck("unseen", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	s.waitCycles(unseen)
	pid := unseen.pidFile().PID
	must.NoError(t, s.Kill())
	must.NoError(t, unix.Kill(pid, unix.SIGKILL))
	start(t, s.Agent)
	unseen.wait(api.AllocClientStatusFailed)
	must.NoError(t, s.API.System().GarbageCollect())

	runs := s.past()
	told := map[string]string{}
	for _, e := range runs {
		told[e.JobID] += e.Outcome
		must.Eq(t, "standin", e.Solver)
		must.Eq(t, 1, e.Cores)
		must.Positive(t, e.CoreSeconds)
		must.NotNil(t, e.Ended)
	}
	must.Eq(t, map[string]string{"completed": "completed", "failed": "error", "killed": "killed", "unseen": "killed"}, told)
	must.Len(t, 1, s.past("-job", "fail*", "-outcome", "error", "-since", "1h"))
	text := s.prints("history", "-why")
	must.StrContains(t, text, "ormal termination at the end time")
	// Where state_dir is the plugin has said in its status_dir.
	out, err := s.Inside(within(t), "env", "NOMAD_DRIVER_LSDYNA_STATUS_DIR="+s.Path("status"), s.PluginPath(), "history", "-json").Output()
	must.NoError(t, err)
	must.StrContains(t, string(out), `"job_id": "unseen"`)
	metrics := s.prints("metrics")
	for _, line := range []string{`lsdyna_runs_total{outcome="completed"} 1`, `lsdyna_runs_total{outcome="error"} 1`, `lsdyna_runs_total{outcome="killed"} 2`} {
		must.StrContains(t, metrics, line)
	}
}

// looked is what status -json tells of a task's progress.
type looked struct {
	AllocID  string   `json:"alloc_id"`
	State    string   `json:"state"`
	Progress *float64 `json:"progress_ratio"`
	ETA      *float64 `json:"eta_seconds"`
	Low      *float64 `json:"eta_low_seconds"`
	High     *float64 `json:"eta_high_seconds"`
	Missing  *string  `json:"eta_missing"`
	Elapsed  *float64 `json:"elapsed_seconds"`
}

func (r *run) look(printed string) (looked, bool) {
	r.s.t.Helper()
	var status struct{ Tasks []looked }
	must.NoError(r.s.t, json.Unmarshal([]byte(printed), &status), must.Sprint(printed))
	for _, l := range status.Tasks {
		if l.AllocID == r.alloc && l.State != "ended" {
			return l, true
		}
	}
	return looked{}, false
}

// A run of two minutes: every look at it past 5 % shows an estimate, whoever looks: root,
// the job's owner through the status file, and whoever may read the folder.
func TestDriver_EveryLookAtARunShowsWhenItWillEnd(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("another user needs root")
	}
	s := &site{t: t, scratch: worldReadable(t)}
	s.begin(fmt.Sprintf("status_dir = %q", s.statusDir()))
	// 1172 cycles.
	r := s.start(jobHCL{name: "looked-at", folder: s.deck("looked-at", "solid_bar_impact"), config: "ncpu = 1", env: `STANDIN_PACE = "100ms"`})
	const nobody, stranger = 65534, 54321
	looks, minute, before := 0, 0, -1.0
	for {
		printed, ok := s.plugin("status", "-json")
		must.True(t, ok, must.Sprint(printed))
		l, live := r.look(printed)
		if !live || l.Progress != nil && *l.Progress > 0.95 {
			break
		}
		if l.Progress == nil || *l.Progress < 0.05 || *l.Progress == before {
			pause(t, 200*time.Millisecond)
			continue
		}
		before = *l.Progress
		s.mustEstimate(l)
		looks++
		if *l.Elapsed > 60 {
			minute++
		}
		if looks%10 != 0 {
			continue
		}
		printed, ok = s.asUser(nobody, "status", "-json", "-state-dir", s.StateDir(), "-status-dir", s.statusDir())
		must.True(t, ok, must.Sprint(printed))
		own, live := r.look(printed)
		must.True(t, live, must.Sprint(printed))
		s.mustEstimate(own)
		printed, ok = s.asUser(stranger, "status", "-state-dir", s.StateDir(), "-status-dir", s.statusDir())
		must.True(t, ok, must.Sprint(printed))
		must.StrContains(t, printed, "0 tasks of yours, 1 of other users")
		must.StrNotContains(t, printed, "looked-at")
		for _, uid := range []uint32{0, nobody, stranger} {
			s.mustInspectLive(r, uid)
		}
	}
	t.Logf("%d looks, %d of them past the first minute", looks, minute)
	must.Greater(t, 100, looks)
	must.Greater(t, 20, minute)

	// A run that is killed with all that watched it is never called running.
	pid := r.pidFile()
	must.NoError(t, unix.Kill(pid.SupervisorPID, unix.SIGKILL))
	must.NoError(t, unix.Kill(pid.PID, unix.SIGKILL))
	must.NoError(t, cluster.Poll(within(t), "the solver is gone", func() (bool, string, error) {
		return !pid.Solver().Alive("/proc"), "it is there", nil
	}))
	for _, uid := range []uint32{0, nobody, stranger} {
		printed, ok := s.asUser(uid, "inspect", "-json", r.folder)
		must.True(t, ok, must.Sprint(printed))
		var report output.Report
		must.NoError(t, json.Unmarshal([]byte(printed), &report))
		must.Eq(t, output.Unknown, report.Outcome)
		must.Nil(t, report.LivesBy)
	}
	r.wait(api.AllocClientStatusFailed)
	must.NoError(t, cluster.Poll(within(t), "the owner's file is removed", func() (bool, string, error) {
		_, err := os.Stat(filepath.Join(s.statusDir(), "65534.json"))
		return errors.Is(err, fs.ErrNotExist), fmt.Sprint(err), nil
	}))
}

func (s *site) mustEstimate(l looked) {
	s.t.Helper()
	at := fmt.Sprintf("at %.0f %% after %.0f s", 100**l.Progress, *l.Elapsed)
	must.Nil(s.t, l.Missing, must.Sprint(at))
	must.NotNil(s.t, l.ETA, must.Sprint(at))
	must.LessEq(s.t, *l.ETA, *l.Low, must.Sprint(at))
	must.GreaterEq(s.t, *l.ETA, *l.High, must.Sprint(at))
}

func (s *site) mustInspectLive(r *run, uid uint32) {
	s.t.Helper()
	inspect := func(path string) output.Report {
		printed, ok := s.asUser(uid, "inspect", "-json", path)
		must.True(s.t, ok, must.Sprint(printed))
		var report output.Report
		must.NoError(s.t, json.Unmarshal([]byte(printed), &report))
		must.Eq(s.t, output.Running, report.Outcome, must.Sprintf("uid %d, %s: %s", uid, path, report.Reason))
		must.True(s.t, strings.Contains(*report.LivesBy, fmt.Sprint(r.pidFile().PID)), must.Sprint(*report.LivesBy))
		return report
	}
	must.NotNil(s.t, inspect(r.folder).ETASeconds)
	// The solver's own buffer comes late: stdout alone may have only one line yet.
	must.NoError(s.t, cluster.Poll(within(s.t), "an estimate by stdout alone", func() (bool, string, error) {
		report := inspect(filepath.Join(r.folder, "stdout"))
		if report.ETASeconds != nil {
			return true, "", nil
		}
		must.NotNil(s.t, report.NoETA)
		return false, *report.NoETA, nil
	}))
}

// pause waits for a moment, in which a run goes on.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
