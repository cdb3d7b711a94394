package allocator

import (
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"testing"
)

func fastReplay(s *spans, g *grid, m shape, jobs []traceJob) {
	var free bitmap
	for i := range g.units { free.set(i) }
	type live struct{ end float64; p bitmap }
	var lives []live
	perNode := m.l3s * m.cores
	perPackage := m.nodes * perNode
	words := (len(g.units)+63)/64
	for _, j := range jobs {
		k := 0
		for i := range lives {
			if lives[i].end <= j.start { for w := range words { free[w] |= lives[i].p[w] } } else { lives[k] = lives[i]; k++ }
		}
		lives = lives[:k]
		p, t := g.place(&free, j.cores, false)
		if t == nil { continue }
		var pk, nd, l3, sum int
		var pm, nm uint64
		for l, x := range g.s.take {
			if x > 0 { sum += x; l3++; pm |= 1 << g.leaves[l].pkg; nm |= 1 << g.leaves[l].node }
		}
		for ; pm != 0; pm &= pm-1 { pk++ }
		for ; nm != 0; nm &= nm-1 { nd++ }
		if sum != j.cores { panic("size") }
		s.jobs++
		s.packages += more(pk, j.cores, perPackage)
		s.nodes += more(nd, j.cores, perNode)
		s.l3s += more(l3, j.cores, m.cores)
		for w := range words { free[w] &^= p[w] }
		lives = append(lives, live{j.end, p})
	}
}

func tuneScore(w weights, traces map[int][][]traceJob) (o [4][3]float64) {
	tuned = w
	for i, m := range qualityMachines {
		sh := m.shape; sh.threads = 1
		topo := sh.topology()
		g := newGrid(topo, topo.Online, Options{})
		var s spans
		for _, jobs := range traces[len(g.units)] { fastReplay(&s, g, sh, jobs) }
		o[i] = [3]float64{percent(s.l3s, s.jobs), percent(s.nodes, s.jobs), percent(s.packages, s.jobs)}
	}
	return
}

func mkTraces(from, to int64) map[int][][]traceJob {
	tr := map[int][][]traceJob{}
	for _, n := range []int{128, 192, 40} {
		for s := from; s <= to; s++ { tr[n] = append(tr[n], jobTrace(n, s)) }
	}
	return tr
}

func TestTune(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("TUNE"))
	if n == 0 { t.Skip() }
	train, test := mkTraces(1001, 1040), mkTraces(1, 3)
	val := func(o [4][3]float64) float64 {
		return o[0][0]+o[0][2]*1.5 + o[1][0]*.5+o[1][1]*.5+o[1][2]*1.5 + o[2][0]+o[2][2]*1.5 + o[3][2]
	}
	show := func(tag string, w weights, o [4][3]float64) { fmt.Printf("%-6s %.2f %+.2f %.2f\n", tag, val(o), w, o) }
	r := rand.New(rand.NewSource(1))
	best := tuned
	bo := tuneScore(best, train)
	show("train", best, bo); show("1-3", best, tuneScore(best, test))
	for range n {
		w := best
		mut := func(x *float64, s float64) { if r.Intn(3) == 0 { *x += r.NormFloat64() * s } }
		mut(&w.leaf, .4); mut(&w.mid, .4); mut(&w.pkg, .5); mut(&w.leafExp, .4); mut(&w.pkgExp, .4); mut(&w.untouched, 2); mut(&w.large, 1); mut(&w.lump, .4)
		w.leafExp, w.pkgExp = max(w.leafExp, .5), max(w.pkgExp, .5)
		o := tuneScore(w, train)
		if val(o) < val(bo) { best, bo = w, o; show("train", w, o); show("1-3", w, tuneScore(w, test)) }
	}
}
