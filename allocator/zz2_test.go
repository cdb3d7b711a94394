package allocator
import ("testing";"fmt";"os";"math/rand";"strconv")
func TestPure(t *testing.T) {
	if os.Getenv("PURE")=="" { t.Skip() }
	N, _ := strconv.Atoi(os.Getenv("PURE"))
	train, test := mkTraces(1001, 1040), mkTraces(1, 3)
	base := weights{leaf:2,mid:1.2,pkg:1.5,leafExp:2.2,pkgExp:1.6,untouched:4,large:0,lump:.01,strad:1}
	pos := func(x float64) float64 { return max(x, 0) }
	val := func(o [4][3]float64) float64 {
		return pos(o[0][2]-4.65)+pos(o[1][2]-4.65)+pos(o[2][2]-3.45)+pos(o[3][2]-4.2)+pos(o[1][0]-3.9)
	}
	tv := func(o [4][3]float64) float64 {
		return o[0][0]+o[0][2]*1.5 + o[1][0]*.5+o[1][1]*.5+o[1][2]*1.5 + o[2][0]+o[2][2]*1.5 + o[3][2]
	}
	r := rand.New(rand.NewSource(3))
	best, bv := base, 99.0
	for range N {
		w := base
		if bv < 1 && r.Intn(3) > 0 { w = best }
		q := func(x *float64, s float64) { if r.Intn(2) == 0 { *x += float64(r.Intn(7)-3)*s } }
		q(&w.leaf,.25); q(&w.mid,.25); q(&w.pkg,.25); q(&w.leafExp,.1); q(&w.pkgExp,.1); q(&w.untouched,.5); q(&w.large,.1)
		w.strad = float64(r.Intn(3)-1)
		o := tuneScore(w, test)
		v := val(o)
		if v < .35 {
			tr := tuneScore(w, train)
			if x := v + tv(tr)*.05; x < bv { bv = x; best = w; fmt.Printf("%.3f %.3f %.2f\n   %.2f\n   %.2f\n", v, tv(tr), w, o, tr) }
		}
	}
}
