// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
)

// promPatience is how long anything of Prometheus may take on a machine that does much else.
const promPatience = 3 * time.Minute

// exporter serves a file as a node exporter's textfile collector does, and returns its host
// and port. Until the file is there it serves nothing.
func exporter(t *testing.T, file string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if r.URL.Path == "/metrics" {
			if data, err := os.ReadFile(file); err == nil {
				_, _ = w.Write(data)
			}
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// promConfig writes what packaging/README.md says of prometheus.yml, with the test's own
// target, and the rules, whose alerts do not wait: nobody tests for ten minutes.
func promConfig(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(filepath.Join(packaging, "prometheus", "lsdyna.rules.yml"))
	must.NoError(t, err)
	waits := regexp.MustCompile(`(?m)^( +for:) \d+m$`)
	must.SliceNotEmpty(t, waits.FindAll(rules, -1))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "lsdyna.rules.yml"), waits.ReplaceAll(rules, []byte("$1 0s")), 0o600))

	page, err := os.ReadFile(filepath.Join(packaging, "README.md"))
	must.NoError(t, err)
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(text, "   ```")
	must.True(t, ok)
	text = regexp.MustCompile(`(?m)^   `).ReplaceAllString(text, "")
	targets := regexp.MustCompile(`targets: \[.*\]`)
	must.Len(t, 1, targets.FindAllString(text, -1))
	text = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + targets.ReplaceAllString(text, fmt.Sprintf("targets: [%q]", target))
	file := filepath.Join(dir, "prometheus.yml")
	must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// startPrometheus starts a Prometheus on a port of its own, and returns its address.
func startPrometheus(t *testing.T, config string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (Debian's package prometheus)")
	}
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"), "--web.listen-address=127.0.0.1:0")
	said, err := cmd.StderrPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	address, ended := make(chan string, 1), make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		var log strings.Builder
		for lines := bufio.NewScanner(said); lines.Scan(); {
			log.WriteString(lines.Text() + "\n")
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
		ended <- log.String()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if log := <-ended; t.Failed() {
			t.Log(log)
		}
		_ = cmd.Wait()
	})
	select {
	case host := <-address:
		return host
	case log := <-ended:
		ended <- log
		t.Fatal("prometheus has ended")
	}
	return ""
}

// series is one that Prometheus has now.
type series map[string]string

// ask has Prometheus evaluate an expression.
func ask(t *testing.T, prometheus, expr string) []series {
	t.Helper()
	answer, err := http.Get("http://" + prometheus + "/api/v1/query?query=" + url.QueryEscape(expr))
	must.NoError(t, err)
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusServiceUnavailable {
		return nil // it listens before it is ready
	}
	var body struct {
		Error string
		Data  struct{ Result []struct{ Metric series } }
	}
	must.NoError(t, json.NewDecoder(answer.Body).Decode(&body))
	must.Eq(t, "", body.Error, must.Sprint(expr))
	var all []series
	for _, r := range body.Data.Result {
		all = append(all, r.Metric)
	}
	return all
}

// untilOne waits until an expression gives one series, and returns it.
func untilOne(t *testing.T, prometheus, expr string) series {
	t.Helper()
	for end := time.Now().Add(promPatience); ; time.Sleep(200 * time.Millisecond) {
		if all := ask(t, prometheus, expr); len(all) == 1 {
			return all[0]
		}
		must.True(t, time.Now().Before(end), must.Sprintf("%s: %v", expr, ask(t, prometheus, `{__name__=~"up|ALERTS|lsdyna_task_state|scrape_samples_scraped"}`)))
	}
}

// writeMetrics has the command write a node's metrics to a file, again and again.
func writeMetrics(t *testing.T, file, stateDir string) {
	t.Helper()
	writer := exec.Command(program, "metrics", "-every", "1s", "-o", file, "-state-dir", stateDir)
	writer.Stderr = os.Stderr
	must.NoError(t, writer.Start())
	t.Cleanup(func() {
		_ = writer.Process.Signal(syscall.SIGTERM)
		_ = writer.Wait()
	})
}

// untilAny waits until an expression gives series, and returns them.
func untilAny(t *testing.T, prometheus, expr string) []series {
	t.Helper()
	for end := time.Now().Add(promPatience); ; time.Sleep(200 * time.Millisecond) {
		if all := ask(t, prometheus, expr); len(all) > 0 {
			return all
		}
		must.True(t, time.Now().Before(end), must.Sprintf("no data: %s", expr))
	}
}

// TestPackaging_everyQueryHasDataInPrometheus has a real Prometheus watch a node with a run
// that has everything and with runs that have ended. Each query of the dashboard has data
// with the labels that its legend names, and so has each series that an alert is about.
func TestPackaging_everyQueryHasDataInPrometheus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lsdyna.prom")
	prometheus := startPrometheus(t, promConfig(t, exporter(t, file)))
	dir := pastRuns(t)
	folder := nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2) + warned}.Make(t, dir)
	must.NoError(t, os.WriteFile(filepath.Join(folder, "glstat"), []byte(nodetest.Statistics(4e-3, 1.25, 20, 10)), 0o600))
	writeMetrics(t, file, dir)

	label := regexp.MustCompile(`\{\{(\w+)\}\}`)
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$job", ".*")
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			for _, one := range untilAny(t, prometheus, fill.Replace(target.Expr)) {
				for _, name := range label.FindAllStringSubmatch(target.LegendFormat, -1) {
					must.NotEq(t, "", one[name[1]], must.Sprint(panel.Title, name))
				}
			}
		}
	}

	rules, err := os.ReadFile(filepath.Join(packaging, "prometheus", "lsdyna.rules.yml"))
	must.NoError(t, err)
	exprs := regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllSubmatch(rules, -1)
	must.SliceNotEmpty(t, exprs)
	for _, expr := range exprs {
		found := regexp.MustCompile(`\blsdyna_\w+`).FindAll(expr[1], -1)
		must.SliceNotEmpty(t, found, must.Sprint(string(expr[1])))
		for _, name := range found {
			untilAny(t, prometheus, string(name))
		}
	}
	// What is out of the ordinary in this run, and nothing else.
	for _, alert := range []string{"LSDynaEnergyRatio", "LSDynaHourglassEnergy", "LSDynaAddedMass"} {
		firing := untilOne(t, prometheus, fmt.Sprintf(`ALERTS{alertstate="firing",alertname=%q}`, alert))
		must.Eq(t, []string{"crash", allocA, "solve"}, []string{firing["job"], firing["alloc_id"], firing["task"]})
	}
	must.Len(t, 3, ask(t, prometheus, "ALERTS"))
}

// TestPackaging_alertFiresInPrometheus has a real Prometheus watch a node with a real run,
// as packaging/README.md says, and lets the run's supervisor be killed.
func TestPackaging_alertFiresInPrometheus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lsdyna.prom")
	prometheus := startPrometheus(t, promConfig(t, exporter(t, file)))
	run := startReapRun(t)
	writeMetrics(t, file, run.dir)
	// job is the Nomad job's id, not the scrape's.
	running := untilOne(t, prometheus, `lsdyna_task_state{state="running"} == 1`)
	must.Eq(t, "crash", running["job"])
	must.SliceEmpty(t, ask(t, prometheus, "ALERTS"))

	run.killSupervisor()
	alert := untilOne(t, prometheus, `ALERTS{alertstate="firing"}`)
	must.Eq(t, "LSDynaRunOrphaned", alert["alertname"])
	must.Eq(t, []string{"crash", allocA, "solve"}, []string{alert["job"], alert["alloc_id"], alert["task"]})

	// What its description says ends it.
	must.Eq(t, exitOK, call(t, "reap", "-state-dir", run.dir, "-kill", allocA+"/solve").code)
	untilOne(t, prometheus, `count(lsdyna_task_state{state="ended"}) unless on () ALERTS`)
}
