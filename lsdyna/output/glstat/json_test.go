// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/shoenig/test/must"
)

func TestStats_Newest(t *testing.T) {
	must.Nil(t, (*Stats)(nil).Newest())
	first, last := Sample{Time: 1}, Sample{Time: 2, Cycle: 7}
	first.Set(AddedMass, 3)
	first.Set(Ratio, 1)
	last.Set(Ratio, 1.5)
	all := &Stats{Blocks: 2, Last: last, Series: []Sample{first, last}, Controls: "shell 4711", LargestTotal: 9}
	newest := all.Newest()
	must.SliceEmpty(t, newest.Series)
	must.Eq(t, Stats{Blocks: 2, Last: newest.Last, Controls: "shell 4711", LargestTotal: 9}, *newest)
	p, ok := newest.Value(AddedMass)
	must.True(t, ok)
	must.Eq(t, Point{2, 3}, p)
	p, _ = newest.Value(Ratio)
	must.Eq(t, Point{2, 1.5}, p)
	must.Len(t, 2, all.Series)
	_, ok = all.Last.Value(AddedMass)
	must.False(t, ok, must.Sprint("what is asked is not changed"))
}

// Each quantity survives, what is no number too.
func TestSample_asJSON(t *testing.T) {
	was := Sample{Time: -1e-300, Cycle: 1 << 60}
	for q := range quantities {
		if q != Sliding {
			was.Set(q, float64(q)*1.1e-7)
		}
	}
	was.Set(Ratio, math.NaN())
	was.Set(Total, math.Inf(1))
	data, err := json.Marshal(Stats{Last: was})
	must.NoError(t, err)
	var back Stats
	must.NoError(t, json.Unmarshal(data, &back))
	must.Eq(t, was.Time, back.Last.Time)
	must.Eq(t, was.Cycle, back.Last.Cycle)
	for q := range quantities {
		want, known := was.Value(q)
		got, ok := back.Last.Value(q)
		must.Eq(t, known, ok, must.Sprint(q))
		if isFinite(want) {
			must.Eq(t, want, got, must.Sprint(q))
		} else {
			must.True(t, math.IsNaN(got), must.Sprint(q))
		}
		must.NotEq(t, "", names[q])
	}
	must.NoError(t, json.Unmarshal([]byte(`{"Time":1,"Cycle":2,"values":{"of a later version":5}}`), &back.Last))
	must.Eq(t, Sample{Time: 1, Cycle: 2}, back.Last)
	must.Error(t, json.Unmarshal([]byte(`{"values":{"energy_ratio":"x"}}`), &back.Last))
}
