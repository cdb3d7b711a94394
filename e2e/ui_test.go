// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/browser"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// web is Nomad's UI in a browser.
type web struct {
	*browser.Browser
	t    *testing.T
	base string
}

// uiMark is in the UI's first page, and in none that Nomad has in its place.
const uiMark = `name="nomad-ui/config/environment"`

// openUI starts a browser for the UI of an agent's server. It skips the test where there is
// no chromium, or a Nomad that was built without its UI.
func openUI(t *testing.T, a *cluster.Agent) *web {
	t.Helper()
	w := &web{t: t, base: "http://" + a.Config.Server.HTTPAddr() + "/ui"}
	answer, err := http.Get(w.base + "/")
	must.NoError(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	must.NoError(t, err)
	if !strings.Contains(string(page), uiMark) {
		t.Skip("this nomad has no UI: it is built with -tags ui")
	}
	w.Browser, err = browser.StartOnLoopback(within(t))
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, w.Close()) })
	return w
}

func (w *web) open(path string) {
	w.t.Helper()
	must.NoError(w.t, w.OpenURL(within(w.t), w.base+path, browser.View{Width: 1280, Height: 1000}))
}

// until evaluates JavaScript in the page until done likes its value.
func (w *web) until(what, script string, value any, done func() bool) {
	w.t.Helper()
	ctx := within(w.t)
	must.NoError(w.t, cluster.Poll(ctx, what, func() (bool, string, error) {
		if err := w.Eval(ctx, script, value); err != nil {
			return false, err.Error(), nil // the page is on its way
		}
		seen, _ := json.Marshal(value)
		return done(), string(seen), nil
	}))
}

// says waits until the page has all of the texts, each a regular expression.
func (w *web) says(texts ...string) {
	w.t.Helper()
	var page string
	w.until(strings.Join(texts, ", "), "document.body.innerText", &page, func() bool {
		for _, text := range texts {
			if !regexp.MustCompile(text).MatchString(page) {
				return false
			}
		}
		return true
	})
}

// row is one of a table.
type row struct {
	Cells []string
	Cut   bool // a cell is wider than what is shown of it, or stands beyond the window's edge
}

// rows waits until the innermost box of the page with this title has a table that done
// likes. None of it may be cut.
func (w *web) rows(title string, done func(rows []row) bool) []row {
	w.t.Helper()
	quoted, _ := json.Marshal(title)
	var rows []row
	w.until("the table "+title, fmt.Sprintf(`(() => {
		const box = [...document.querySelectorAll(".boxed-section")].findLast(b => b.querySelector(".boxed-section-head")?.innerText.trim().startsWith(%s));
		return [...(box?.querySelectorAll("tbody tr") ?? [])].map(tr => ({
			Cells: [...tr.cells].map(td => td.innerText.trim()),
			Cut: [...tr.cells].some(td => td.scrollWidth > td.clientWidth + 1 || td.getBoundingClientRect().right > box.getBoundingClientRect().right + 1),
		}));
	})()`, quoted), &rows, func() bool { return done(rows) })
	for _, r := range rows {
		must.False(w.t, r.Cut, must.Sprintf("cut: %s", r.Cells))
	}
	return rows
}

// events waits until the task's page has an event, and returns the events as they stand
// there, from the top to the bottom.
func (w *web) events(r *run, last string) string {
	w.t.Helper()
	w.open("/allocations/" + r.alloc + "/lsdyna")
	var text string
	w.rows("Recent Events", func(rows []row) bool {
		text = ""
		for _, r := range rows {
			text += strings.Join(r.Cells[1:], ": ") + "\n"
		}
		return strings.Contains(text, last)
	})
	w.t.Logf("task's page:\n%s", text)
	return text
}

// inOrder matches texts, each a regular expression, one after the other, whatever is
// between them.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	must.RegexMatch(t, regexp.MustCompile(`(?s)`+strings.Join(parts, `.*`)), text)
}

// What users see of a run and of its node without a command line. That nothing is cut is
// asked of each table that has texts of ours.
func TestUI_ShowsARunAndItsNode(t *testing.T) {
	t.Parallel()
	if _, err := browser.Find(); err != nil {
		t.Skip(err)
	}
	s := newSite(t, `
    solver "gone" {
      path = "/opt/programs/engineering/ls-dyna/R14.1.1/smp/double/ls-dyna_smp_d_R14_1_1_x64_centos79_ifort190"
    }`, func(c *cluster.Config) { c.HCL = "telemetry {\n  publish_allocation_metrics = true\n}\n" })
	w := openUI(t, s.Agent)
	r := s.start(jobHCL{name: "crash-front", folder: s.deck("crash-front", "shell_box_crush"), config: "ncpu = 1", env: steady})
	s.waitCycles(r)

	w.open("/jobs/crash-front@default")
	w.says(`(?m)^crash-front$`, `1 Running`, `Type\s+batch`, r.alloc[:8])
	w.open("/allocations/" + r.alloc)
	w.says(`crash-front\.g\[0\]`, `(?m)^\s*lsdyna\s+running`, `[1-9]\S* MiB / 300 MiB`)
	w.execs(r)
	w.showsNode(s)

	inOrder(t, w.events(r, "Allocated core"), `Driver: Allocated core \d+ \(1 core, NUMA node \d+\): 1 thread, as \S+, in /[^\n]+\n`, `Received: `)
	must.NoError(t, s.StopJob(within(t), r.job, false))
	r.wait(api.AllocClientStatusComplete)
	inOrder(t, w.events(r, "topped by a sense switch"), `topped by a sense switch in d3kil: t = [\d.]+ of 4, \d+ cycles, `,
		`Stopping with sw1, dump d3dump01 written at t = \S+, [\d.]+ MB, in `, `Solver took sw1 (?:after|within)`, `Stopping with sw1; the solver has 5\d*s for it`,
		`Killing: Sent interrupt`, `Driver: A stop with sw1 takes this run about`, `Driver: Allocated core`)
	w.showsLongWords(s)
}

// execs runs a command in the UI's terminal.
func (w *web) execs(r *run) {
	w.open("/exec/" + r.job + "/g/lsdyna?namespace=default&allocation=" + r.alloc[:8])
	w.says(`hit .return. to run`)
	var focused bool
	must.NoError(w.t, w.Eval(within(w.t), `(document.querySelector(".xterm-helper-textarea").focus(), document.hasFocus())`, &focused))
	enter := func() {
		for _, kind := range []string{"keyDown", "keyUp"} {
			must.NoError(w.t, w.Call(within(w.t), "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}, nil))
		}
	}
	enter()
	w.says(`(?m)\$\s*$`)
	must.NoError(w.t, w.Call(within(w.t), "Input.insertText", map[string]any{"text": "pwd > from-the-ui"}, nil))
	enter()
	must.NoError(w.t, cluster.Poll(within(w.t), "what the command prints", func() (bool, string, error) {
		data, err := os.ReadFile(filepath.Join(r.folder, "from-the-ui"))
		return strings.TrimSpace(string(data)) == r.folder, fmt.Sprintf("%s %v", data, err), nil
	}))
}

// showsNode looks at the client's page: the driver's health in words, and its attributes.
func (w *web) showsNode(s *site) {
	node, err := s.Node()
	must.NoError(w.t, err)
	w.open("/clients/" + s.NodeID())
	w.says(`(?m)^\s*lsdyna\s+Healthy`)
	var clicked bool
	w.until("the driver's details", `(() => {
		const one = [...document.querySelectorAll(".accordion-head")].find(e => e.innerText.trim().startsWith("lsdyna"));
		one?.querySelector("button")?.click();
		return !!one;
	})()`, &clicked, func() bool { return clicked })
	health := node.Drivers[cluster.DriverName].HealthDescription
	must.StrContains(w.t, health, "ifort190")
	w.says(regexp.QuoteMeta(health))

	rows := w.rows("Lsdyna Attributes", func(rows []row) bool { return len(rows) > 0 })
	shown := map[string]string{}
	for _, r := range rows {
		shown[r.Cells[0]] = r.Cells[1]
	}
	for name, value := range node.Attributes {
		if strings.HasPrefix(name, "driver.lsdyna.") {
			must.Eq(w.t, value, shown[name], must.Sprint(name))
			delete(shown, name)
		}
	}
	must.MapEmpty(w.t, shown)
	must.Eq(w.t, "R14", node.Attributes["driver.lsdyna.solver.standin"])
	must.StrContains(w.t, node.Attributes["driver.lsdyna.usable_cores"], "0")
}

// showsLongWords has an event with a word that is as long as a list of the cores of a large
// machine, which Nomad's UI does not break: here it is the name of a deck that is not there.
func (w *web) showsLongWords(s *site) {
	deck := "0"
	for cpu := 2; cpu <= 126; cpu += 2 {
		deck += fmt.Sprint(",", cpu)
	}
	job := jobHCL{name: "long", folder: s.deck("long", "shell_box_crush"), config: "ncpu = 1"}.String()
	alloc, err := s.Run(within(w.t), strings.Replace(job, `"main.k"`, fmt.Sprintf("%q", deck), 1))
	must.NoError(w.t, err)
	r := &run{s: s, job: "long", alloc: alloc}
	r.wait(api.AllocClientStatusFailed)
	w.events(r, "120, 122, 124, 126")
}
