// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cpuset

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"

	"github.com/shoenig/test/must"
)

func TestParse_readsTheKernelsLists(t *testing.T) {
	for _, tc := range []struct {
		name, list string
		want       Set
	}{
		{"empty", "", Set{}},
		{"white space only", " \n", Set{}},
		{"one CPU", "7", Of(7)},
		{"trailing newline", "0-3\n", Of(0, 1, 2, 3)},
		{"ranges and single CPUs", "0-2,5,8-9", Of(0, 1, 2, 5, 8, 9)},
		{"white space between items", "0-1, 4", Of(0, 1, 4)},
		{"out of order and overlapping", "8,0-3,2-4", Of(0, 1, 2, 3, 4, 8)},
		{"word boundaries", "63-64,127,128", Of(63, 64, 127, 128)},
		{"stride", "0-15:2/8", Of(0, 1, 8, 9)},
		{"last CPU there is room for", "2047", Of(2047)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.list)
			must.NoError(t, err)
			must.Eq(t, tc.want.Slice(), got.Slice())
		})
	}
}

func TestParse_refusesWhatTheKernelRefuses(t *testing.T) {
	for _, list := range []string{
		",", "1,", ",1", "1,,2", "a", "1-", "-1", "3-1", "1-2-3", "0x3", "+1", "1 2", "0-3:", "0-3:1",
		"0-3:0/2", "0-3:3/2", "0-3:1/0", "4:1/2", "2048", "0-2048", "99999999999999999999", "1\x002",
	} {
		got, err := Parse(list)
		must.Error(t, err, must.Sprintf("%q is %s", list, got))
		must.True(t, got.IsEmpty())
	}
}

func TestString_isTheShortestList(t *testing.T) {
	for want, set := range map[string]Set{
		"":                  {},
		"0":                 Of(0),
		"0-1":               Of(0, 1),
		"0-3,8,10-11":       Of(0, 1, 2, 3, 8, 10, 11),
		"62-65":             Of(62, 63, 64, 65),
		"0-2047":            Range(0, MaxCPUs-1),
		"1,3,5,2045,2047":   Of(1, 3, 5, 2045, 2047),
		"0-63,128-191,2000": Range(0, 63).Union(Range(128, 191)).Union(Of(2000)),
	} {
		must.Eq(t, want, set.String())
	}
}

func TestParseMask_readsTheKernelsMasks(t *testing.T) {
	for _, tc := range []struct {
		name, mask string
		want       Set
	}{
		{"nothing set", "0", Set{}},
		{"one word", "ff", Range(0, 7)},
		{"short first word, as with 48 CPUs", "fc00,00000000", Range(42, 47)},
		{"leading zero words", "00000000,00000000,0000000a", Of(1, 3)},
		{"third word", "1,00000000,00000000\n", Of(64)},
		{"zero words beyond the limit", "0," + fill(64, "00000000") + ",1", Of(0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseMask(tc.mask)
			must.NoError(t, err)
			must.Eq(t, tc.want.Slice(), got.Slice())
		})
	}
}

func fill(n int, word string) string {
	text := word
	for range n - 1 {
		text += "," + word
	}
	return text
}

func TestParseMask_refusesNonsense(t *testing.T) {
	for _, mask := range []string{"", ",", "1,", "g", "-1", "123456789", "0x3", "1," + fill(64, "0")} {
		_, err := ParseMask(mask)
		must.Error(t, err, must.Sprintf("%q", mask))
	}
}

func TestMask_isShort(t *testing.T) {
	for want, set := range map[string]Set{
		"0": {}, "1": Of(0), "ff": Range(0, 7), "1,00000000": Of(32), "80000000,00000001": Of(0, 63), "3,00000000,00000000": Of(64, 65),
	} {
		must.Eq(t, want, set.Mask())
	}
}

func TestSet_ReportsCPUsOutOfRange(t *testing.T) {
	s := Of(5)
	for _, cpu := range []int{-1, MaxCPUs, 1 << 62} {
		must.False(t, s.Add(cpu))
		_, err := FromSlice([]int{5, cpu})
		must.ErrorContains(t, err, fmt.Sprint(cpu)+" is no CPU index")
		must.Panic(t, func() { Of(cpu) })
	}
	must.Eq(t, Of(5), s)
	must.True(t, s.Add(MaxCPUs-1))
	s.Remove(MaxCPUs - 1)
	s.Remove(-1)
	s.Remove(MaxCPUs)
	must.Eq(t, 1, s.Len())
	must.False(t, s.Contains(-1))
	must.False(t, s.Contains(MaxCPUs))
}

func TestWords_areTheBits(t *testing.T) {
	s := Of(0, 63, 64, MaxCPUs-1)
	w := s.Words()
	must.Eq(t, 1|1<<63, w[0])
	must.Eq(t, 1, w[1])
	must.Eq(t, 1<<63, w[len(w)-1])
	must.Eq(t, s, FromWords(w))
}

// TestOperations compares every operation with the same one on maps.
func TestOperations_agreeWithMaps(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 300 {
		a, ma := random(r)
		b, mb := random(r)
		union, both, diff := map[int]bool{}, map[int]bool{}, map[int]bool{}
		for cpu := range ma {
			union[cpu] = true
			if mb[cpu] {
				both[cpu] = true
			} else {
				diff[cpu] = true
			}
		}
		for cpu := range mb {
			union[cpu] = true
		}
		same(t, union, a.Union(b))
		same(t, both, a.Intersect(b))
		same(t, diff, a.Difference(b))
		must.Eq(t, len(both) > 0, a.Overlaps(b))
		must.Eq(t, len(diff) == 0, a.SubsetOf(b))
		must.Eq(t, len(ma) == 0, a.IsEmpty())
		for _, s := range []Set{a, b, a.Union(b)} {
			roundTrip(t, s)
		}
	}
}

func random(r *rand.Rand) (Set, map[int]bool) {
	s, m := Set{}, map[int]bool{}
	limit := 1 + r.Intn(MaxCPUs)
	for range r.Intn(40) {
		cpu := r.Intn(limit)
		s.Add(cpu)
		m[cpu] = true
		if r.Intn(4) == 0 {
			s.Remove(cpu)
			delete(m, cpu)
		}
	}
	return s, m
}

func same(t *testing.T, want map[int]bool, got Set) {
	t.Helper()
	must.Eq(t, len(want), got.Len())
	last := -1
	for cpu := range got.All() {
		must.True(t, want[cpu])
		must.Greater(t, last, cpu)
		if last == -1 {
			must.Eq(t, cpu, got.First())
		}
		last = cpu
	}
	must.Eq(t, last, got.Last())
}

func roundTrip(t *testing.T, s Set) {
	t.Helper()
	fromList, err := Parse(s.String())
	must.NoError(t, err)
	must.True(t, fromList == s)
	fromMask, err := ParseMask(s.Mask())
	must.NoError(t, err)
	must.True(t, fromMask == s)
	data, err := json.Marshal(s)
	must.NoError(t, err)
	var fromJSON Set
	must.NoError(t, json.Unmarshal(data, &fromJSON))
	must.True(t, fromJSON == s)
	must.True(t, Of(s.Slice()...) == s)
}

func TestOperations_doNotAllocate(t *testing.T) {
	a, b := Of(1, 2, 3, 2000), Of(3, 4, 5)
	sum := 0
	allocs := testing.AllocsPerRun(100, func() {
		c := a.Union(b).Difference(b).Intersect(a)
		c.Add(7)
		if c.Overlaps(a) && c.SubsetOf(c) && !c.IsEmpty() {
			for cpu := range c.All() {
				sum += cpu + c.Len() + c.First()
			}
		}
	})
	must.Eq(t, 0, allocs)
	must.Positive(t, sum)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "0", "0-3,8\n", "0-31:2/8", "0-2047", "3-1", "1,,2", "(null)", "0-99999999", "\x00\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		set, err := Parse(list)
		if err != nil {
			if !set.IsEmpty() {
				t.Fatal("a set beside an error")
			}
			return
		}
		roundTrip(t, set)
	})
}

func FuzzParseMask(f *testing.F) {
	for _, seed := range []string{"0", "ff", "fc00,00000000", "80000000,00000001", "g", ",", fill(70, "00000000")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, mask string) {
		set, err := ParseMask(mask)
		if err != nil {
			return
		}
		roundTrip(t, set)
	})
}

func ExampleParse() {
	set, err := Parse("0-3,8")
	fmt.Println(set.Slice(), set.Mask(), err)
	// Output: [0 1 2 3 8] 10f <nil>
}
