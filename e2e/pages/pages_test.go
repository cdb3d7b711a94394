// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pages_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/browser"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// patience is for a machine that has much else to do.
const patience = 3 * time.Minute

var (
	desktop = browser.View{Width: 1280, Height: 900}
	phone   = browser.View{Width: 360, Height: 740, Phone: true}
)

// one is the browser of all tests: its start takes seconds.
var one = sync.OnceValues(func() (*browser.Browser, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return browser.Start(ctx)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if _, err := browser.Find(); err == nil {
		if b, err := one(); err == nil {
			_ = b.Close()
		}
	}
	os.Exit(code)
}

// start returns the browser, or skips.
func start(t *testing.T) (context.Context, *browser.Browser) {
	t.Helper()
	if _, err := browser.Find(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b, err := one()
	must.NoError(t, err)
	return ctx, b
}

// wholePage is a page with all of its parts.
func wholePage(t *testing.T) string {
	t.Helper()
	p := page.Page{
		Program: "nomad-driver-lsdyna test", Made: time.Now(),
		Place:   page.Place{User: "cae", Job: "crash-front", Alloc: "3f1c2a9b-77aa", Task: "lsdyna", Node: "compute-7", Cores: "2-3"},
		Events:  []page.Event{{At: time.Now(), Text: "Allocated cores 2-3 (2 cores, NUMA node 1)"}},
		Machine: &page.Machine{Own: cpuset.Of(2, 3), Isolated: true},
	}
	for cpu := range 8 {
		core := cpu % 4
		p.Machine.CPUs = append(p.Machine.CPUs, page.CPU{Index: cpu, Package: core / 2, Node: core / 2, L3: core / 2, Core: core})
	}
	_, err := watch.InspectWith(t.Context(), runOf(t), true, func(ctx context.Context, f *rundir.Folder, file string, r output.Report) {
		report.Gather(f, file, r.Snapshot, r, &p)
	})
	must.NoError(t, err)
	data, err := p.Render()
	must.NoError(t, err)
	file := filepath.Join(t.TempDir(), "report.html")
	must.NoError(t, os.WriteFile(file, data, 0o644))
	return file
}

// checkQuiet fails where the browser asked for anything but the file, or had something to
// complain of.
func checkQuiet(t *testing.T, b *browser.Browser, file string) {
	t.Helper()
	asked := 0
	for _, e := range b.Events() {
		switch e.Method {
		case "Network.requestWillBeSent":
			var said struct{ Request struct{ URL string } }
			must.NoError(t, json.Unmarshal(e.Params, &said))
			must.Eq(t, "file://"+file, said.Request.URL)
			asked++
		case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
			t.Errorf("the browser complains: %s", e.Params)
		}
	}
	must.Eq(t, 1, asked)
}

// textOf is what a user reads in the first element that a selector names.
func textOf(ctx context.Context, t *testing.T, b *browser.Browser, selector string) string {
	t.Helper()
	var text string
	must.NoError(t, b.Eval(ctx, `(document.querySelector(`+quote(selector)+`) || {innerText: "(none)"}).innerText`, &text), must.Sprint(selector))
	return text
}

func quote(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

func TestPage_tellsWhatAUserLooksFor(t *testing.T) {
	ctx, b := start(t)
	file := wholePage(t)
	must.NoError(t, b.Open(ctx, file, desktop))
	checkQuiet(t, b, file)
	for selector, wants := range map[string][]string{
		"title":     nil,
		"h1":        {"crash-front"},
		"#outcome":  {"Running", "t = 0.006 of 0.01"},
		"header":    {"End time", "0.01", "Reached", "60 % of the problem time", "Time left", "6 min 40 s", "Expected end", "10:16"},
		"#eta":      {"about 6 min 40 s left (", " to "},
		"#progress": {"Progress", "Wall time (min)", "Problem time", "end time 0.01", "four of five runs end within", "restart dump"},
		"#energies": {"Energies", "Problem time × 10⁻³", "Energy, in the deck’s units", "total", "internal", "kinetic", "hourglass", "sliding interface"},
		"#step":     {"Time step", "Problem time × 10⁻³"},
		"#mass":     {"Added mass", "Increase of mass (%)"},
		"#ratio":    {"Energy ratio"},
		"#warnings": {"40538 (SOL+538)", "a hinge <script>alert(1)</script> opens", "3", "20282 (STR+282)", "part 12 has no section"},
		"#cores":    {"2 cores", "Socket 1, NUMA node 1", "idle siblings"},
		"#dumps":    {"d3dump01", "0.002", "2001", "d3dump02", "3.1 kB"},
		"#events":   {"Allocated cores 2-3 (2 cores, NUMA node 1)"},
		"#runs":     {"starting from the deck", "killed by signal 9"},
		"#command":  {"i=main.k ncpu=2"},
		"#run":      {"LS-DYNA R14.1", "compute-7", "cae"},
		"#files":    {"d3plot* (2 files)", "10 kB", "main.k"},
	} {
		text := textOf(ctx, t, b, selector)
		if selector == "title" {
			must.NoError(t, b.Eval(ctx, "document.title", &text))
			wants = []string{"crash-front: Running"}
		}
		for _, want := range wants {
			must.StrContains(t, strings.ReplaceAll(text, "\u202f", ""), want, must.Sprint(selector))
		}
	}
}

// Charts have what makes them readable: names for who does not see them, ticks, and curves
// that are within the plot.
func TestPage_chartsAreWhole(t *testing.T) {
	ctx, b := start(t)
	must.NoError(t, b.Open(ctx, wholePage(t), desktop))
	type chart struct {
		ID, Title, Desc string
		Ticks, Paths    int
		Outside         []string
	}
	var charts []chart
	must.NoError(t, b.Eval(ctx, `[...document.querySelectorAll("svg.chart")].map(svg => {
		const box = svg.getBoundingClientRect(), outside = [];
		for (const e of svg.querySelectorAll("path, text, circle, line")) {
			const r = e.getBoundingClientRect();
			if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1) outside.push(e.outerHTML);
		}
		return {ID: svg.parentElement.id, Title: svg.querySelector("title").textContent, Desc: svg.querySelector("desc").textContent,
			Ticks: svg.querySelectorAll("text:not(.label)").length, Paths: svg.querySelectorAll("path[d^=M]").length, Outside: outside};
	})`, &charts))
	paths := map[string]int{"progress": 3, "energies": 5, "step": 1, "mass": 1, "ratio": 1}
	must.Len(t, len(paths), charts)
	for _, c := range charts {
		must.Eq(t, paths[c.ID], c.Paths, must.Sprint(c.ID))
		must.NotEq(t, "", c.Title)
		must.StrContains(t, c.Desc, " from ")
		must.Between(t, 6, c.Ticks, 20, must.Sprint(c.ID))
		must.SliceEmpty(t, c.Outside)
	}
}

// A phone shows it without scrolling to the side, and texts are large enough there.
func TestPage_fitsAPhone(t *testing.T) {
	ctx, b := start(t)
	file := wholePage(t)
	for _, width := range []int{360, 412, 768, 1280} {
		view := phone
		view.Width = width
		must.NoError(t, b.Open(ctx, file, view))
		var size struct{ Scroll, Inner float64 }
		must.NoError(t, b.Eval(ctx, `({Scroll: document.documentElement.scrollWidth, Inner: innerWidth})`, &size))
		must.Eq(t, float64(width), size.Inner)
		must.LessEq(t, size.Inner, size.Scroll)
		var smallest float64
		must.NoError(t, b.Eval(ctx, `Math.min(...[...document.querySelectorAll("svg.chart text")].map(e => parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getScreenCTM().a))`, &smallest))
		must.GreaterEq(t, 10, smallest, must.Sprint(width))
	}
}

// Text and curves stand out from the paper, in light and dark (WCAG 2.1: 4.5 for text, 3 for
// graphics).
func TestPage_hasContrastInLightAndDark(t *testing.T) {
	ctx, b := start(t)
	file := wholePage(t)
	var papers []string
	for _, dark := range []bool{false, true} {
		view := desktop
		view.Dark = dark
		must.NoError(t, b.Open(ctx, file, view))
		checkQuiet(t, b, file)
		var contrasts map[string]float64
		must.NoError(t, b.Eval(ctx, `(() => {
			const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
			const paper = light(getComputedStyle(document.body).backgroundColor), found = {};
			const add = (name, c) => { const l = light(c); found[name] = (Math.max(l, paper) + .05) / (Math.min(l, paper) + .05); };
			for (const [name, at] of Object.entries({text: "body", soft: "footer", outcome: ".outcome", tick: ".chart text"})) add(name, getComputedStyle(document.querySelector(at))[name == "tick" ? "fill" : "color"]);
			document.querySelectorAll("#energies path").forEach((e, i) => add("curve " + i, getComputedStyle(e).stroke));
			return found;
		})()`, &contrasts))
		must.MapLen(t, 9, contrasts)
		for name, contrast := range contrasts {
			least := 4.5
			if strings.HasPrefix(name, "curve") {
				least = 3
			}
			must.GreaterEq(t, least, contrast, must.Sprint(name, " dark: ", dark))
		}
		var paper string
		must.NoError(t, b.Eval(ctx, "getComputedStyle(document.body).backgroundColor", &paper))
		papers = append(papers, paper)
	}
	must.NotEq(t, papers[0], papers[1])
}

func TestPage_isPrintedOnFewSheets(t *testing.T) {
	ctx, b := start(t)
	must.NoError(t, b.Open(ctx, wholePage(t), desktop))
	pdf, err := b.Print(ctx)
	must.NoError(t, err)
	must.StrHasPrefix(t, "%PDF-", string(pdf[:5]))
	sheets := len(regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(pdf, -1))
	must.Between(t, 1, sheets, 4)
}

// What the solver of another printed cannot be more than text, even where an escape was
// forgotten: the page's own policy forbids it.
func TestPage_runsNoScript(t *testing.T) {
	ctx, b := start(t)
	data, err := os.ReadFile(wholePage(t))
	must.NoError(t, err)
	file := filepath.Join(t.TempDir(), "spoilt.html")
	spoilt := bytes.Replace(data, []byte("<main>"), []byte(`<main><script>document.title = "taken"</script><img src="https://example.com/x.png"><style>body { color: red }</style>`), 1)
	must.NoError(t, os.WriteFile(file, spoilt, 0o644))
	must.NoError(t, b.Open(ctx, file, desktop))
	var title, colour string
	must.NoError(t, b.Eval(ctx, "document.title", &title))
	must.NoError(t, b.Eval(ctx, "getComputedStyle(document.body).color", &colour))
	must.StrContains(t, title, "Running")
	must.NotEq(t, "rgb(255, 0, 0)", colour)
	blocked := 0
	for _, e := range b.Events() {
		if e.Method == "Log.entryAdded" {
			blocked++
		}
	}
	must.GreaterEq(t, 3, blocked)
}

func TestInspectHTML_inTheBrowser(t *testing.T) {
	ctx, b := start(t)
	file := filepath.Join(t.TempDir(), "run.html")
	var out, errs bytes.Buffer
	must.Eq(t, 0, command.Run(ctx, []string{"inspect", "-html", runOf(t), "-running", "-o", file}, &out, &errs), must.Sprint(errs.String()))
	must.Eq(t, "", out.String())
	must.NoError(t, b.Open(ctx, file, phone))
	checkQuiet(t, b, file)
	must.StrContains(t, textOf(ctx, t, b, "#outcome"), "Running")
	must.StrContains(t, textOf(ctx, t, b, "#energies"), "kinetic")
	must.Eq(t, "(none)", textOf(ctx, t, b, "#cores")) // nothing tells them
}

// Every real output and every folder rebuilt from reports gives a page.
func TestInspectHTML_ofWhatPeopleHave(t *testing.T) {
	shared := filepath.Join("..", "..", "..", "shared")
	var paths []string
	for _, pattern := range []string{"samples/*", "cases/*/*"} {
		found, err := filepath.Glob(filepath.Join(shared, pattern))
		must.NoError(t, err)
		paths = append(paths, found...)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool {
		return strings.HasSuffix(path, "README.md") || strings.HasSuffix(path, "decks") || strings.HasSuffix(path, "progress") || strings.HasSuffix(path, ".json")
	})
	if len(paths) == 0 {
		t.Skip("no real outputs beside this repository")
	}
	_, findErr := browser.Find()
	var ctx context.Context
	var b *browser.Browser
	if findErr == nil {
		ctx, b = start(t)
	}
	for _, path := range paths {
		t.Run(strings.TrimPrefix(path, shared+"/"), func(t *testing.T) {
			var out, errs bytes.Buffer
			code := command.Run(t.Context(), []string{"inspect", "-html", path}, &out, &errs)
			if strings.Contains(errs.String(), "holds no LS-DYNA output") {
				must.Eq(t, 1, code)
				return
			}
			must.Eq(t, 0, code, must.Sprint(errs.String()))
			must.Less(t, 1<<20, out.Len())
			if b == nil {
				return
			}
			file := filepath.Join(t.TempDir(), "page.html")
			must.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
			must.NoError(t, b.Open(ctx, file, phone))
			checkQuiet(t, b, file)
			var wide bool
			must.NoError(t, b.Eval(ctx, `document.documentElement.scrollWidth > innerWidth`, &wide))
			must.False(t, wide)
			must.NotEq(t, "(none)", textOf(ctx, t, b, "#outcome .word"))
		})
	}
}
