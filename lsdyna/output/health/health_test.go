// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package health

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/tally"
)

// stats is a glstat of one block.
func stats(values map[glstat.Quantity]float64) *glstat.Stats {
	s := &glstat.Stats{Blocks: 1, Last: glstat.Sample{Time: 0.01}}
	for q, v := range values {
		s.Last.Set(q, v)
	}
	s.Series = []glstat.Sample{s.Last}
	s.LargestInternal, s.LargestTotal, s.LargestDt = math.Abs(values[glstat.Internal]), math.Abs(values[glstat.Total]), values[glstat.Dt]
	return s
}

// good is a run in the order of things.
func good() *Facts {
	return &Facts{
		Solving: true, HasTime: true, Time: 0.01, Dt: 1e-6, LargestDt: 1.2e-6,
		Energies: stats(map[glstat.Quantity]float64{
			glstat.Kinetic: 900, glstat.Internal: 100, glstat.Total: 1005, glstat.Hourglass: 5, glstat.Ratio: 1.01, glstat.AddedMass: 0.1, glstat.AddedMassPercent: 1,
		}),
	}
}

func TestOf_notesWhatIsOutOfTheOrdinary(t *testing.T) {
	set := func(q glstat.Quantity, v float64) func(*Facts) { return func(f *Facts) { f.Energies.Last.Set(q, v) } }
	for name, c := range map[string]struct {
		change func(*Facts)
		quiet  time.Duration
		want   []string
	}{
		"nothing":                  {func(*Facts) {}, time.Minute, []string{}},
		"energy from nothing":      {set(glstat.Ratio, 1.234), 0, []string{"energy ratio 1.23 at t = 0.01"}},
		"energy lost":              {set(glstat.Ratio, 0.85), 0, []string{"energy ratio 0.85 at t = 0.01"}},
		"energy that is no number": {set(glstat.Ratio, math.NaN()), 0, []string{"the energy ratio at t = 0.01 is no number"}},
		"hourglassing":             {set(glstat.Hourglass, 12), 0, []string{"hourglass energy is 12 % of the internal energy at t = 0.01"}},
		"hourglassing, negative":   {set(glstat.Hourglass, -12), 0, []string{"hourglass energy is 12 % of the internal energy at t = 0.01"}},
		"much added mass":          {set(glstat.AddedMassPercent, 7.5), 0, []string{"added mass is 7.5 % of the physical mass at t = 0.01"}},
		"time step collapsed":      {func(f *Facts) { f.Dt = 1.1e-7; f.Energies.Controls = "shell 4711 of part 12" }, 0, []string{"time step has fallen to 1.1e-07, from 1.2e-06, controlled by shell 4711 of part 12"}},
		"implicit, a small step":   {func(f *Facts) { f.Dt, f.Implicit = 1.1e-9, true }, 0, []string{}},
		"a small step at the end":  {func(f *Facts) { f.Dt, f.Ended = 1.1e-9, true }, 0, []string{}},
		"longest real silence":     {func(*Facts) {}, 2032 * time.Second, []string{}},
		"silent":                   {func(*Facts) {}, 42 * time.Minute, []string{"nothing new in its outputs for 42m0s"}},
		"silent before its cycles": {func(f *Facts) { f.Solving = false }, 42 * time.Minute, []string{}},
		"a rank failed":            {func(f *Facts) { f.Ends = []string{"mpirun: rank 3 with PID 7 on node crash02 exited on signal 9"} }, 0, []string{"failed first: rank 3 on crash02"}},
		"hourglassing of a rigid one": {func(f *Facts) {
			f.Energies = stats(map[glstat.Quantity]float64{glstat.Internal: 1e-6, glstat.Hourglass: 5e-7, glstat.Total: 1e5, glstat.Ratio: 1})
		}, 0, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.change(f)
			must.Eq(t, c.want, Of(f, &c.quiet).Notes)
		})
	}
}

func TestOf_values(t *testing.T) {
	f, quiet := good(), 90*time.Second
	for range 3 {
		f.Warnings.Count(21129, "STR")
	}
	*f.Warnings.Text() = "a bad shape"
	f.Warnings.Count(60303, "IMP")
	h := Of(f, &quiet)
	for want, got := range map[float64]*float64{
		90: h.Quiet, 0.01: h.Time, 900: h.Kinetic, 100: h.Internal, 1005: h.Total, 5: h.Hourglass, 1.01: h.Ratio, 0.1: h.AddedMass, 1: h.MassPercent, 1e-6: h.Dt, 1.2e-6: h.LargestDt,
	} {
		must.NotNil(t, got, must.Sprintf("%v", want))
		must.Eq(t, want, *got)
	}
	must.Eq(t, 5, *h.HourglassPercent)
	must.Nil(t, h.Missing)
	must.Nil(t, h.Failed)
	must.Eq(t, []tally.Kind{{Code: 21129, Class: "STR", Text: "a bad shape", Count: 3}, {Code: 60303, Class: "IMP", Count: 1}}, h.Kinds)
}

func TestOf_withoutGlstat(t *testing.T) {
	f := good()
	f.Energies, f.HasMass, f.AddedMass, f.MassPercent = nil, true, 0.2, 6
	h := Of(f, nil)
	must.NotNil(t, h.Missing)
	must.StrContains(t, *h.Missing, "*DATABASE_GLSTAT")
	must.Nil(t, h.Ratio)
	must.Nil(t, h.Quiet)
	must.Eq(t, 0.2, *h.AddedMass)
	must.Eq(t, 6, *h.MassPercent)
	must.Eq(t, 1e-6, *h.Dt)
	must.Eq(t, []string{"added mass is 6 % of the physical mass at t = 0"}, h.Notes)

	must.Nil(t, Of(&Facts{}, nil).Missing, must.Sprint("of a run that does not solve yet"))
}

func TestOf_isJSONWhateverIsInIt(t *testing.T) {
	f := good()
	for q := range glstat.Quantity(20) {
		f.Energies.Last.Set(q, math.NaN())
	}
	f.Energies.LargestInternal, f.Dt, f.MassPercent = math.Inf(1), math.Inf(1), math.NaN()
	_, err := json.Marshal(Of(f, nil))
	must.NoError(t, err)
}

func TestFirstFailure(t *testing.T) {
	rank := func(n int) *int { return &n }
	for text, want := range map[string]*Failure{
		"mpirun: rank 3 with PID 7 on node crash02 exited on signal 9 (Killed).": {Rank: rank(3), Host: "crash02"},
		"mpiexec: rank 1 (process 4711) on node crash02 ended with exit code 1":  {Rank: rank(1), Host: "crash02"},
		"mpiexec: a rank (process 4711) on node crash02.example.com ended":       {Host: "crash02.example.com"},
		"MPI_ABORT was invoked on rank 30 in communicator MPI_COMM_WORLD":        {Rank: rank(30)},
		"NaN detected on processor #         30  node id 77":                     {Rank: rank(30)},
		"forrtl: error (78): process killed (SIGTERM)":                           nil,
		"": nil,
	} {
		got := firstFailure([]string{"nothing of that kind", text})
		if want == nil {
			must.Nil(t, got, must.Sprint(text))
			continue
		}
		want.Text = text
		must.Eq(t, want, got)
	}
	must.Nil(t, firstFailure(nil))
	must.Eq(t, "a rank on crash02", (&Failure{Host: "crash02"}).String())
}
