// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// metric finds the one series with these labels.
func metric(t *testing.T, family *dto.MetricFamily, labels map[string]string) *dto.Metric {
	t.Helper()
	must.NotNil(t, family)
	var found *dto.Metric
	for _, m := range family.GetMetric() {
		match := 0
		for _, pair := range m.GetLabel() {
			if want, ok := labels[pair.GetName()]; ok && want == pair.GetValue() {
				match++
			}
		}
		if match == len(labels) {
			must.Nil(t, found, must.Sprintf("two series with %v", labels))
			found = m
		}
	}
	must.NotNil(t, found, must.Sprintf("%s with %v", family.GetName(), labels))
	return found
}

func TestMetrics_arePrometheusText(t *testing.T) {
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "crash \"front\"\nx", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	nodetest.Task{
		Job: "old", Alloc: allocB, Name: "solve", Cores: []int{2}, Since: 2 * time.Hour, Over: true,
		Exit: &supervisor.ExitRecord{Version: 1, Code: 3, FinishedAt: time.Now()},
	}.Make(t, dir)
	r := call(t, "metrics", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
	must.Eq(t, exitOK, r.code)
	must.Eq(t, "", r.errout)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(r.out))
	must.NoError(t, err)

	must.Eq(t, 8, metric(t, families["lsdyna_physical_cores"], nil).GetGauge().GetValue())
	must.Eq(t, 6, metric(t, families["lsdyna_available_cores"], nil).GetGauge().GetValue())
	owner := map[string]string{"job": "crash \"front\"\nx", "alloc_id": allocA, "task": "solve"}
	value := func(name string) float64 { return metric(t, families[name], owner).GetGauge().GetValue() }
	must.Eq(t, 0.4, value("lsdyna_task_progress_ratio"))
	must.Eq(t, 60, value("lsdyna_task_eta_seconds"))
	must.Between(t, 30, value("lsdyna_task_eta_low_seconds"), 60)
	must.Between(t, 60, value("lsdyna_task_eta_high_seconds"), 120)
	must.Between(t, 3600, value("lsdyna_task_elapsed_seconds"), 3660)
	must.Eq(t, 2, value("lsdyna_task_cores"))
	must.Eq(t, 4001, metric(t, families["lsdyna_task_cycles_total"], owner).GetCounter().GetValue())
	for cpu, want := range map[string][2]float64{"0": {1, 0}, "8": {1, 1}, "2": {0, 0}} {
		labels := map[string]string{"cpu": cpu}
		must.Eq(t, want[0], metric(t, families["lsdyna_core_allocated"], labels).GetGauge().GetValue())
		must.Eq(t, want[1], metric(t, families["lsdyna_core_idle_sibling"], labels).GetGauge().GetValue())
	}
	owner["cpu"] = "8" // idle, but the task's
	must.Eq(t, 1, metric(t, families["lsdyna_task_core_info"], owner).GetGauge().GetValue())
	must.Len(t, 4, families["lsdyna_task_core_info"].GetMetric())
	delete(owner, "cpu")
	over := map[string]string{"alloc_id": allocB}
	must.Eq(t, 3, metric(t, families["lsdyna_task_exit_code"], over).GetGauge().GetValue())
	over["state"] = "ended"
	must.Eq(t, 1, metric(t, families["lsdyna_task_state"], over).GetGauge().GetValue())
	for name, family := range families {
		must.StrContains(t, helpOf("metrics"), name, must.Sprint("help"))
		must.NotEq(t, "", family.GetHelp(), must.Sprint(name))
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				must.NotEq(t, "", label.GetValue(), must.Sprint(name, label.GetName()))
			}
		}
	}
}

func TestMetrics_replaceATextfile(t *testing.T) {
	dir, sysfs := nodetest.StateDir(t), twoSockets.Sysfs(t)
	nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}}.Make(t, dir)
	file := filepath.Join(t.TempDir(), "lsdyna.prom")
	must.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	r := call(t, "metrics", "-state-dir", dir, "-sysfs", sysfs, "-o", file)
	must.Eq(t, result{}, r)
	data, err := os.ReadFile(file)
	must.NoError(t, err)
	must.StrContains(t, string(data), "lsdyna_available_cores 7\n")
	info, err := os.Stat(file)
	must.NoError(t, err)
	must.Eq(t, 0o644, info.Mode().Perm()) // the node exporter is another user

	r = call(t, "metrics", "-state-dir", dir, "-sysfs", sysfs, "-o", filepath.Join(file, "x"))
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "metrics: write "+file+"/x: ")
}

func TestMetrics_wrongIntervals(t *testing.T) {
	for every, want := range map[string]string{"0s": "-every 0s: give 1s or more", "-2s": "-every -2s: give", "900ms": "-every 900ms: give"} {
		r := call(t, "metrics", "-o", filepath.Join(t.TempDir(), "x"), "-every", every)
		must.Eq(t, exitUsage, r.code)
		must.StrContains(t, r.errout, want)
	}
	must.StrContains(t, call(t, "metrics", "-every", "0s").errout, "-every goes with -o FILE")
}

// At boot the metrics' unit is there before the plugin tells where its state_dir is.
func TestMetrics_everyRoundFindsTheStateDirAnew(t *testing.T) {
	dir, told := nodetest.StateDir(t), filepath.Join(t.TempDir(), "status")
	nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}}.Make(t, dir)
	t.Setenv(statedir.StatusEnv, told)
	file := filepath.Join(t.TempDir(), "lsdyna.prom")
	errors, writer, err := os.Pipe()
	must.NoError(t, err)
	defer errors.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		defer writer.Close()
		ended <- Run(ctx, []string{"metrics", "-every", "1s", "-o", file, "-sysfs", twoSockets.Sysfs(t)}, io.Discard, writer)
	}()
	if _, err := os.Lstat(statedir.Default); err != nil { // else that of this machine is read
		_, err = errors.Read(make([]byte, 1000)) // it is not there
		must.NoError(t, err)
	}
	d, err := public.Open(told)
	must.NoError(t, err)
	must.NoError(t, d.Write(public.Node{StateDir: dir}, nil))
	must.NoError(t, d.Close())
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if data, _ := os.ReadFile(file); strings.Contains(string(data), `alloc_id="`+allocA) {
			break
		}
		must.True(t, time.Now().Before(end), must.Sprint("the run that the plugin tells of is not there"))
	}
	cancel()
	must.Eq(t, exitOK, <-ended)
}

// promtool gives the path of Prometheus' own checker.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus)")
	}
	return path
}

// TestMetrics_helpNamesNoOthers has a node with all that there is to tell.
func TestMetrics_helpNamesNoOthers(t *testing.T) {
	dir := watched(t, nodetest.Statistics(5e-3, 0.9, 30, 12))
	nodetest.Task{
		Job: "old", Alloc: allocB, Name: "solve", Cores: []int{2}, Since: 2 * time.Hour, Over: true,
		Exit: &supervisor.ExitRecord{Version: 1, Code: 3, FinishedAt: time.Now()},
	}.Make(t, dir)
	out := call(t, "metrics", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t)).out
	for _, name := range regexp.MustCompile(`\blsdyna_[a-z_]+`).FindAllString(helpOf("metrics"), -1) {
		must.StrContains(t, out, "\n# TYPE "+name+" ", must.Sprint(name))
	}
}

func TestMetrics_areFineByPromtool(t *testing.T) {
	check := func(t *testing.T, text string) string {
		cmd := exec.CommandContext(t.Context(), promtool(t), "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Fatal(err)
		}
		return string(out)
	}
	must.StrContains(t, check(t, "x_total 1\n"), "no help text") // it looks at what it gets
	dir := watched(t, nodetest.Statistics(5e-3, 0.9, 30, 12))
	r := call(t, "metrics", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
	must.Eq(t, exitOK, r.code)
	must.Eq(t, "", check(t, r.out))
}

func TestMetrics_printNothingWhereTheRecordsCannotBeRead(t *testing.T) {
	r := call(t, "metrics", "-state-dir", "/proc/self/status")
	must.Eq(t, exitNo, r.code)
	must.Eq(t, "", r.out)
	must.NotEq(t, "", r.errout)
}

func TestCommands_refuseWhatIsNoStateDir(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	empty := filepath.Join(t.TempDir(), "empty")
	must.NoError(t, os.Mkdir(empty, 0o700))
	for name, args := range map[string][]string{
		"status":  {"status", "-sysfs", sysfs},
		"watch":   {"status", "-watch", "-sysfs", sysfs},
		"metrics": {"metrics", "-sysfs", sysfs},
		"history": {"history"},
		"report":  {"report", allocA},
		"reap":    {"reap"},
	} {
		t.Run(name, func(t *testing.T) {
			for dir, why := range map[string]string{filepath.Join(empty, "none"): "is not there", empty: "is no state_dir"} {
				r := call(t, append(args, "-state-dir", dir)...)
				must.Eq(t, exitNo, r.code)
				must.Eq(t, "", r.out)
				must.StrContains(t, r.errout, dir+" "+why)
				must.StrContains(t, r.errout, statedir.Env)
			}
		})
	}
}

func TestCommands_takeStateDirFromTheEnvironment(t *testing.T) {
	dir, sysfs := nodetest.StateDir(t), twoSockets.Sysfs(t)
	nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}}.Make(t, dir)
	t.Setenv(statedir.Env, dir)
	must.StrContains(t, call(t, "metrics", "-sysfs", sysfs).out, "lsdyna_available_cores 7\n")
	// The call comes before it.
	must.StrContains(t, call(t, "metrics", "-sysfs", sysfs, "-state-dir", nodetest.StateDir(t)).out, "lsdyna_available_cores 8\n")
}
