// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// checkDrawing holds for the drawing of every machine: every online CPU is drawn
// once, with the width that the screen has.
func checkDrawing(t *testing.T, topo *topology.Topology, width int) {
	t.Helper()
	drawn := map[int]int{}
	s := screen{width: width}
	d := drawing{
		topo: topo, screen: s,
		cell: func(cpu topology.CPU) cell {
			drawn[cpu.Index]++
			return cell{glyph: 'o', means: "core"}
		},
		caption: (&survey{topo: topo, usable: topo.Online}).caption,
	}
	for l := range strings.Lines(s.render(d.draw())) {
		must.LessEq(t, width, len(strings.TrimSuffix(l, "\n")), must.Sprintf("width %d: %q", width, l))
	}
	for _, cpu := range topo.CPUs {
		want := 0
		if cpu.Online {
			want = 1
		}
		must.Eq(t, want, drawn[cpu.Index], must.Sprintf("cpu %d", cpu.Index))
	}
}

func TestDrawing_fitsEveryMachineAndWidth(t *testing.T) {
	for name, m := range map[string]machine{
		"one core":              {packages: 1, nodes: 1, l3s: 1, cores: 1, threads: 1},
		"two cores":             {packages: 1, nodes: 1, l3s: 1, cores: 2, threads: 1},
		"two sockets with SMT":  {packages: 2, nodes: 1, l3s: 1, cores: 4, threads: 2},
		"one large cache":       {packages: 1, nodes: 1, l3s: 1, cores: 96, threads: 1},
		"sixteen nodes":         {packages: 2, nodes: 8, l3s: 1, cores: 6, threads: 2},
		"512 CPUs":              {packages: 2, nodes: 1, l3s: 16, cores: 8, threads: 2},
		"hybrid, two offline":   {packages: 1, nodes: 1, l3s: 1, cores: 6, threads: 2, efficiency: 8, offline: "20,21"},
		"four threads per core": {packages: 1, nodes: 2, l3s: 1, cores: 5, threads: 4},
	} {
		t.Run(name, func(t *testing.T) {
			topo, _, err := topology.Discover(m.sysfs(t))
			must.NoError(t, err)
			for width := leastWidth; width <= 200; width += 7 {
				checkDrawing(t, topo, width)
			}
		})
	}
}

func TestDrawing_groupsByCacheAndNode(t *testing.T) {
	topo, _, err := topology.Discover(machine{packages: 2, nodes: 2, l3s: 2, cores: 3, threads: 1}.sysfs(t))
	must.NoError(t, err)
	draw := func(width int) string {
		d := drawing{topo: topo, screen: screen{width: width}, cell: func(topology.CPU) cell { return cell{glyph: 'o', means: "core"} }}
		return d.screen.render(d.draw())
	}
	must.Eq(t, strings.TrimPrefix(`
Socket 0
  node 0  cpu 0-5    o o o | o o o
  node 1  cpu 6-11   o o o | o o o
Socket 1
  node 2  cpu 12-17  o o o | o o o
  node 3  cpu 18-23  o o o | o o o
o core   | between L3 caches
`, "\n"), draw(80))
}

func TestTable_dropsColumnsAndThenShortensNames(t *testing.T) {
	tab := table{
		columns: []column{{title: "JOB", keep: true, least: 8}, {title: "N", right: true}, {title: "LONG TITLE", rank: 1}},
		rows: [][]line{
			{text("dispatch/17000000-0a1b2c3d"), text("7"), text("x")},
			{text("short"), text("12"), text("y")},
		},
	}
	render := func(width int) string { return screen{}.render(tab.lay(width)) }
	must.Eq(t, "JOB                          N  LONG TITLE\n"+
		"dispatch/17000000-0a1b2c3d   7  x\n"+
		"short                       12  y\n", render(60))
	must.Eq(t, "JOB                       LONG TITLE\n"+
		"dispatch/17..00-0a1b2c3d  x\n"+
		"short                     y\n", render(36))
	must.Eq(t, "JOB\ndispat..1b2c3d\nshort\n", render(14))
}

func TestDuration_usesTwoUnits(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0s", 59.4: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m", 90000: "1d01h", 8640000: "100d00h",
	} {
		must.Eq(t, want, secondsOf(&seconds))
	}
}

func TestClean_takesOutWhatSteersATerminal(t *testing.T) {
	must.Eq(t, "a?[2Jb c?d ü", clean("a\x1b[2Jb\nc\x9bd ü"))
}

func FuzzWrap_keepsWordsAndWidth(f *testing.F) {
	f.Add("the quick brown fox", 8, 2)
	f.Add("0-1,4-5,8-9,12-13,16-17,20-21,24-25,28-29", 20, 4)
	f.Fuzz(func(t *testing.T, words string, width, indent int) {
		width, indent = leastWidth+abs(width)%100, abs(indent)%8
		words = clean(words)
		var back strings.Builder
		for _, l := range wrap(words, width, indent) {
			must.LessEq(t, width, l.width())
			for _, s := range l {
				back.WriteString(s.text)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		must.Eq(t, squeeze(words), squeeze(back.String()))
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
