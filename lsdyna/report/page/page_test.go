// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

func render(t *testing.T, p Page) string {
	t.Helper()
	data, err := p.Render()
	must.NoError(t, err)
	return string(data)
}

func TestRender_aPageOfNothing(t *testing.T) {
	text := render(t, Page{})
	must.StrHasPrefix(t, Marker, text)
	must.StrHasSuffix(t, "</html>\n", text[:strings.Index(text, "</html>")+len("</html>\n")])
	must.StrContains(t, text, "Not known")
	for _, absent := range []string{`id="cores"`, `id="dumps"`, `id="events"`, `id="files"`, `id="warnings"`, "<figure", "NaN", "%!"} {
		must.StrNotContains(t, text, absent)
	}
}

func TestRender_everyOutcomeHasWordColourAndSymbol(t *testing.T) {
	symbols := map[string]bool{}
	for kind, word := range words {
		text := render(t, Page{Report: output.Report{Outcome: kind, Reason: "because"}})
		must.StrContains(t, text, `<p class="word">`+word+`</p>`)
		must.StrContains(t, text, `class="outcome `+string(kind)+`"`)
		must.StrContains(t, style, "."+string(kind))
		symbol := regexp.MustCompile(`(?s)id="outcome">\s*<svg.*?</svg>`).FindString(text)
		must.NotEq(t, "", symbol)
		symbols[symbol] = true
	}
	must.MapLen(t, len(words)-1, symbols) // error and killed have one
}

// What a page says of itself that it may load must be nothing, and its style must be the
// one that it names.
func TestRender_policy(t *testing.T) {
	text := render(t, Page{Title: "run"})
	policy := html.UnescapeString(regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)[1])
	sheet := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(text)[1]
	sum := sha256.Sum256([]byte(sheet))
	must.Eq(t, fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", base64.StdEncoding.EncodeToString(sum[:])), policy)
	for _, banned := range []string{"<script", "style=", "href=", "src=", "url(", "@import", "http://", "https://"} {
		must.StrNotContains(t, text, banned)
	}
}

// hostile is a text that would be more than text somewhere.
const hostile = "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{.}} \x1b[2J\u202e\u0000 javascript:alert(1)"

func TestRender_textOfUsersIsText(t *testing.T) {
	when := time.Now()
	text := hostile
	seconds, number := 12., int64(3)
	p := Page{
		Title: hostile, Program: hostile, CommandLine: hostile,
		Place:  Place{Path: hostile, User: hostile, Host: hostile, Namespace: hostile, Job: hostile, Alloc: hostile, Task: hostile, Node: hostile, Solver: hostile, Exit: hostile, Cores: hostile},
		Events: []Event{{when, hostile}},
		Folder: Folder{Count: 1, Files: []File{{Name: hostile, Count: 2, Written: when}}},
		Report: output.Report{
			Outcome: output.Kind(hostile), Reason: hostile, Version: &text, RestartFile: &text, NodesText: &text, NodesStop: &text, NoETA: &text,
			Time: &seconds, EndTime: &seconds, ElapsedSeconds: &seconds, Errors: &number, Warnings: &number,
			FirstError: &output.SolverError{Code: 1, Class: hostile, Text: hostile},
			LastRuns:   []output.PastRun{{Run: hostile, Began: hostile, Reason: hostile, Outcome: output.Kind(hostile), Ended: &when, Dump: hostile}},
		},
		Snapshot: output.Snapshot{
			LastWords: hostile, Sources: []string{hostile}, Dumps: []output.Dump{{Name: hostile}},
			Header: output.Header{Host: hostile, Revision: hostile}, Licence: output.Licence{LicenceKind: hostile},
			Process: output.Process{JobID: hostile, CommandLine: hostile},
		},
	}
	p.Snapshot.Kinds.Count(7, hostile)
	*p.Snapshot.Kinds.Text() = hostile
	for i := range 20 {
		p.Snapshot.History.Add(int64(100+i), float64(i), int64(i+1))
	}
	page := render(t, p)
	for _, banned := range []string{"<script", "<img", "\x1b", "\u202e", "\x00", "onerror=alert(1)>"} {
		must.StrNotContains(t, page, banned)
	}
	must.Eq(t, 1, strings.Count(page, "<style>"))
	must.Eq(t, strings.Count(page, "<svg"), strings.Count(page, "</svg>"))
	must.Greater(t, 25, strings.Count(page, "&lt;script&gt;")) // it is there, as text
}

func TestRender_isBounded(t *testing.T) {
	long := strings.Repeat("ä\"<", 100_000)
	p := Page{Title: long, CommandLine: long, Machine: &Machine{Own: cpuset.Of(0)}}
	p.Report.Reason = long
	for i := range 5000 {
		p.Events = append(p.Events, Event{Text: long})
		p.Folder.Files = append(p.Folder.Files, File{Name: long})
		p.Snapshot.Dumps = append(p.Snapshot.Dumps, output.Dump{Name: fmt.Sprint(i, long[:10_000])})
		p.Report.LastRuns = append(p.Report.LastRuns, output.PastRun{Began: long, Reason: long})
		if i < maxCPUs {
			p.Machine.CPUs = append(p.Machine.CPUs, CPU{Index: i, Core: i})
		}
	}
	must.Less(t, 2<<20, len(render(t, p))) // of quotes alone; a page of a run has some 50 kB
	p.Machine.CPUs = append(p.Machine.CPUs, CPU{Index: maxCPUs})
	must.StrNotContains(t, render(t, p), `id="cores"`)
}

// The solver writes runrsf over the one before.
func TestRender_aDumpThatWasWrittenAnewIsThereOnce(t *testing.T) {
	var p Page
	for i, name := range []string{"runrsf", "d3dump01", "runrsf"} {
		p.Snapshot.Dumps = append(p.Snapshot.Dumps, output.Dump{Name: name, Time: float64(i + 1)})
	}
	v := p.view()
	must.Eq(t, []string{"runrsf 3", "d3dump01 2"}, []string{v.Dumps[0].Name + " " + v.Dumps[0].Time, v.Dumps[1].Name + " " + v.Dumps[1].Time})
	must.Len(t, 2, v.Dumps)
}

func TestRender_whatIsOutOfTheOrdinary(t *testing.T) {
	p := Page{Report: output.Report{Health: &health.Health{Notes: []string{"added mass is 8 % <b>"}}}}
	must.StrContains(t, render(t, p), "Out of the ordinary: added mass is 8 % &lt;b&gt;</p>")
	must.StrNotContains(t, render(t, Page{}), "Out of the ordinary")
}

func TestBar(t *testing.T) {
	relaxing := false
	at := func(time, end float64) string {
		b := (&Page{Report: output.Report{Time: &time, EndTime: &end, Relaxing: relaxing}}).bar()
		if b == nil {
			return ""
		}
		return fmt.Sprintf("%d: %s", b.Done, b.Text)
	}
	must.Eq(t, "700: 70 % of the problem time: t = 0.007 of 0.01", at(.007, .01))
	must.Eq(t, "999: 99 % of the problem time: t = 0.9993 of 1", at(.99934, 1))
	must.Eq(t, "1000: 100 % of the problem time: t = 1.001 of 1", at(1.0006, 1))
	must.Eq(t, "", at(math.NaN(), 1))
	must.Eq(t, "", at(1, 0))
	relaxing = true
	for _, time := range []float64{.5, 1, 5} { // it has a time of its own, which tells nothing of the run's
		must.Eq(t, "", at(time, 1))
	}
}

func TestMachine_groupsAndCounts(t *testing.T) {
	m := Machine{Own: cpuset.Of(1, 2), Isolated: true}
	for _, index := range []int{5, 1, 0, 4, 2, 6, 3, 7} { // two sockets of two cores with two threads
		core := index % 4
		m.CPUs = append(m.CPUs, CPU{Index: index, Package: core / 2, Node: core / 2, L3: core / 2, Core: core})
	}
	v := m.view()
	must.Eq(t, "The run is bound to 2 cores on 2 NUMA nodes.", v.Text)
	must.True(t, v.HasIdle)
	var drawn []string
	for _, n := range v.Nodes {
		for _, cache := range n.Caches {
			for _, core := range cache {
				for _, cpu := range core {
					drawn = append(drawn, fmt.Sprint(n.Name[:8], " ", cpu.Index, cpu.Class))
				}
			}
		}
	}
	must.Eq(t, []string{"Socket 0 0", "Socket 0 4", "Socket 0 1own", "Socket 0 5idle", "Socket 1 2own", "Socket 1 6idle", "Socket 1 3", "Socket 1 7"}, drawn)
	m.Own = cpuset.Of(1, 5)
	must.Eq(t, "The run is bound to 2 CPUs of 1 core on 1 NUMA node.", m.view().Text)
	m.Own = cpuset.Set{}
	must.StrContains(t, m.view().Text, "no cores of its own")
	must.Nil(t, (*Machine)(nil).view())
}

func TestTexts(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.006: "0.006", 1234.5678: "1235", -12.5: "−12.5", 2.84e-7: "2.840e-7", 1e8: "1.000e8", math.Inf(1): "–"} {
		must.Eq(t, want, number(v))
	}
	for v, want := range map[float64]string{-1: "0 s", 59.4: "59 s", 61: "1 min 01 s", 3661: "1 h 01 min", 200_000: "2 d 07 h", math.Inf(1): "11574074 d 01 h"} {
		must.Eq(t, want, duration(v))
	}
	for v, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", -1234567: "-1\u202f234\u202f567"} {
		must.Eq(t, want, count(v))
	}
	for v, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_600: "1.0 MB", 12_345_678: "12 MB", 812 << 40: "893 TB"} {
		must.Eq(t, want, size(v))
	}
	must.Eq(t, "a?b c", clean("a\x1bb\nc", 10))
	must.Eq(t, "aä…", clean("aää", 4))
}
