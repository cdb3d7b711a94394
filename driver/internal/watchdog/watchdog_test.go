// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watchdog

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
)

var began = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// looks has a watchdog look at a run every two seconds.
type looks struct {
	*Watchdog
	at time.Time
}

func watching(b Bounds) *looks { return &looks{Watchdog: New(b, nil), at: began} }

// look is one look, some time after the one before it.
func (l *looks) look(s *output.Snapshot, after time.Duration) []string {
	l.at = l.at.Add(after)
	passed, _ := l.Look(s, l.at)
	var texts []string
	for _, p := range passed {
		texts = append(texts, p.Text)
	}
	return texts
}

// running is a run that solves, with values in its glstat.
func running(t float64, values map[glstat.Quantity]float64) *output.Snapshot {
	s := &output.Snapshot{Phase: output.PhaseSolving}
	s.HasTime, s.Time, s.Cycle, s.Dt, s.Signs = true, t, int64(t*1e6), 1e-6, int64(t*1e6)
	if values == nil {
		return s
	}
	e := &glstat.Stats{Blocks: 1, Last: glstat.Sample{Time: t}, LargestInternal: math.Abs(values[glstat.Internal]), LargestTotal: math.Abs(values[glstat.Total])}
	for q, v := range values {
		e.Last.Set(q, v)
	}
	e.Series = []glstat.Sample{e.Last}
	s.Energies = e
	return s
}

func ratio(t, v float64) *output.Snapshot {
	return running(t, map[glstat.Quantity]float64{glstat.Ratio: v})
}

func TestLook_eachBound(t *testing.T) {
	all := Bounds{EnergyRatio: 1.1, AddedMass: 5, Hourglass: 10, DtMin: 1e-8, Silence: time.Minute}
	values := func(change map[glstat.Quantity]float64) *output.Snapshot {
		v := map[glstat.Quantity]float64{glstat.Ratio: 1.05, glstat.AddedMassPercent: 4, glstat.Internal: 100, glstat.Total: 1000, glstat.Hourglass: 9}
		maps.Copy(v, change)
		return running(0.0123, v)
	}
	step := func(dt float64) *output.Snapshot { s := values(nil); s.Dt = dt; return s }
	controlled := func(s *output.Snapshot) *output.Snapshot { s.Energies.Controls = "shell 4711 of part 12"; return s }
	for name, c := range map[string]struct {
		run   *output.Snapshot
		want  []string
		model bool
	}{
		"in order":            {values(nil), nil, false},
		"energy ratio":        {values(map[glstat.Quantity]float64{glstat.Ratio: 1.2345}), []string{"energy ratio 1.23 > 1.1 at t = 0.0123"}, true},
		"energy is lost":      {values(map[glstat.Quantity]float64{glstat.Ratio: 0.2}), nil, false},
		"no number":           {values(map[glstat.Quantity]float64{glstat.Ratio: math.NaN()}), []string{"energy ratio NaN > 1.1 at t = 0.0123"}, true},
		"added mass":          {values(map[glstat.Quantity]float64{glstat.AddedMassPercent: 7.5}), []string{"added mass 7.5% > 5% of the physical mass at t = 0.0123"}, true},
		"hourglass energy":    {values(map[glstat.Quantity]float64{glstat.Hourglass: 12}), []string{"hourglass energy 12% > 10% of the internal energy at t = 0.0123"}, true},
		"time step":           {step(1e-9), []string{"time step 1e-09 < 1e-08 at t = 0.0123"}, true},
		"what controls it":    {controlled(step(1e-9)), []string{"time step 1e-09 < 1e-08 at t = 0.0123, controlled by shell 4711 of part 12"}, true},
		"time step not known": {step(0), nil, false},
		"two at once":         {values(map[glstat.Quantity]float64{glstat.Ratio: 1.2, glstat.AddedMassPercent: 7}), []string{"energy ratio 1.2 > 1.1 at t = 0.0123", "added mass 7% > 5% of the physical mass at t = 0.0123"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := watching(all)
			passed, note := w.Look(c.run, began)
			must.Eq(t, "", note)
			var texts []string
			for _, p := range passed {
				texts = append(texts, p.Text)
				must.Eq(t, c.model, p.Model)
			}
			must.Eq(t, c.want, texts)
			must.Nil(t, w.look(c.run, 2*time.Second), must.Sprint("told again"))
		})
	}
}

func TestLook_noBound(t *testing.T) {
	must.Nil(t, watching(Bounds{Action: Stop}).look(ratio(0.01, 5), time.Hour))
	must.True(t, Bounds{Action: Stop}.None())
	must.Nil(t, Bounds{Action: Stop}.Encode())
}

// What trembles around its bound is told once; what has recovered is told anew.
func TestLook_againAfterARecovery(t *testing.T) {
	w := watching(Bounds{EnergyRatio: 1.1})
	told := 0
	for _, c := range []struct {
		ratio float64
		tells bool
	}{{1.09, false}, {1.11, true}, {1.099, false}, {1.12, false}, {1.2, false}, {1.085, false}, {1.15, true}, {1.0, false}, {1.3, true}} {
		told++
		got := w.look(ratio(float64(told)/100, c.ratio), 2*time.Second)
		must.Eq(t, c.tells, len(got) == 1, must.Sprintf("%v: %v", c, got))
	}
}

// What one process has told the next does not tell again, but what has recovered since.
func TestLook_afterARestartOfThePlugin(t *testing.T) {
	b := Bounds{EnergyRatio: 1.1, AddedMass: 5}
	first := watching(b)
	must.Len(t, 1, first.look(ratio(0.01, 1.2), 0))
	kept, changed := first.State()
	must.True(t, changed)
	_, changed = first.State()
	must.False(t, changed)

	next := &looks{Watchdog: New(b, kept), at: began}
	must.Nil(t, next.look(ratio(0.02, 1.3), 0))
	must.Nil(t, next.look(ratio(0.03, 1.0), 0))
	must.Len(t, 1, next.look(ratio(0.04, 1.2), 0))

	damaged := &looks{Watchdog: New(b, []byte("{")), at: began}
	must.Len(t, 1, damaged.look(ratio(0.02, 1.3), 0))
}

func TestLook_silence(t *testing.T) {
	const minute = time.Minute
	quiet := running(0.0123, nil)
	b := Bounds{Silence: 5 * minute}
	t.Run("is told once", func(t *testing.T) {
		w := watching(b)
		for range 6 {
			must.Nil(t, w.look(quiet, minute))
		}
		must.Eq(t, []string{"silence for 6m0s > 5m0s at t = 0.0123"}, w.look(quiet, minute))
		must.Nil(t, w.look(quiet, minute))
		must.Nil(t, w.look(running(0.0124, nil), minute))
		for range 5 {
			must.Nil(t, w.look(running(0.0124, nil), minute))
		}
		must.Len(t, 1, w.look(running(0.0124, nil), minute))
	})
	t.Run("is not the model's doing", func(t *testing.T) {
		w := watching(b)
		for range 6 {
			w.look(quiet, minute)
		}
		passed, _ := w.Look(quiet, w.at.Add(minute))
		must.Len(t, 1, passed)
		must.False(t, passed[0].Model)
	})
	t.Run("a step that takes many iterations is none", func(t *testing.T) {
		w := watching(b)
		for i := range 30 {
			s := running(0.0123, nil)
			s.Signs = int64(i)
			must.Nil(t, w.look(s, minute))
		}
	})
	for name, change := range map[string]func(*output.Snapshot){
		"while it waits for a licence":       func(s *output.Snapshot) { s.Phase = output.PhaseLicence },
		"while it is decomposed":             func(s *output.Snapshot) { s.Phase = output.PhaseDecomposing },
		"before its first cycle":             func(s *output.Snapshot) { s.Phase = output.PhaseInitialising },
		"while it closes its files":          func(s *output.Snapshot) { s.Phase = output.PhaseEnding },
		"while it waits for a licence again": func(s *output.Snapshot) { s.LicenceWaiting = true },
	} {
		t.Run(name+" does not count", func(t *testing.T) {
			w := watching(b)
			w.look(quiet, 0)
			s := running(0.0123, nil)
			change(s)
			for range 30 {
				must.Nil(t, w.look(s, minute))
			}
			must.Nil(t, w.look(quiet, minute))
		})
	}
	t.Run("a folder that does not answer for hours counts a minute", func(t *testing.T) {
		w := watching(b)
		w.look(quiet, 0)
		must.Nil(t, w.look(quiet, 5*time.Hour))
		must.Nil(t, w.look(quiet, minute))
	})
	t.Run("a restart of the plugin in its middle", func(t *testing.T) {
		w := watching(b)
		for range 5 {
			w.look(quiet, minute)
		}
		kept, changed := w.State()
		must.True(t, changed)
		next := &looks{Watchdog: New(b, kept), at: began}
		next.look(quiet, 0)
		next.look(quiet, minute)
		must.Len(t, 1, next.look(quiet, minute))

		moved := &looks{Watchdog: New(b, kept), at: began}
		moved.look(running(0.0124, nil), 0)
		must.Nil(t, moved.look(running(0.0124, nil), minute))
		must.Nil(t, moved.look(running(0.0124, nil), minute))
	})
}

func TestLook_withoutEnergiesIsToldOnce(t *testing.T) {
	b := Bounds{EnergyRatio: 1.1}
	w := watching(b)
	notes := 0
	for i := range 60 {
		_, note := w.Look(running(float64(i)/1000, nil), began.Add(time.Duration(i)*time.Minute))
		if note != "" {
			notes++
			must.StrContains(t, note, "*DATABASE_GLSTAT")
			must.Greater(t, 8, i)
		}
	}
	must.Eq(t, 1, notes)
	kept, _ := w.State()
	next := New(b, kept)
	for i := range 60 {
		_, note := next.Look(running(float64(i)/1000, nil), began.Add(time.Duration(i)*time.Minute))
		must.Eq(t, "", note)
	}
	for name, b := range map[string]Bounds{"a time step needs none": {DtMin: 1e-9}, "nor silence": {Silence: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			w := New(b, nil)
			for i := range 60 {
				_, note := w.Look(running(float64(i)/1000, nil), began.Add(time.Duration(i)*time.Minute))
				must.Eq(t, "", note)
			}
		})
	}
}

// Without glstat the mass that is printed before the first cycle counts.
func TestLook_addedMassOfTheStart(t *testing.T) {
	s := running(0.0123, nil)
	s.HasAddedMass, s.AddedMassPercent = true, 6
	must.Eq(t, []string{"added mass 6% > 5% of the physical mass at t = 0"}, watching(Bounds{AddedMass: 5}).look(s, 0))
}

// A process may be killed, or end, between telling that a bound was passed and having the
// run stopped: the next one has it stopped. An event is not told twice.
func TestLook_stopThatNobodyHasBegun(t *testing.T) {
	for action, want := range map[Action]int{Event: 0, Dump: 0, Stop: 1} {
		b := Bounds{EnergyRatio: 1.1, Action: action}
		w := watching(b)
		must.Len(t, 1, w.look(ratio(0.1, 1.5), 0))
		kept, _ := w.State()
		next := &looks{Watchdog: New(b, kept), at: began}
		must.Len(t, want, next.look(ratio(0.2, 1.5), 0), must.Sprint(action))
		must.SliceEmpty(t, next.look(ratio(0.3, 1.5), 0))
	}
}

// What a full disk has not taken is written when it has room.
func TestState_thatCouldNotBeKept(t *testing.T) {
	w := watching(Bounds{EnergyRatio: 1.1})
	w.look(ratio(0.1, 1.5), 0)
	for range 3 {
		_, changed := w.State()
		must.True(t, changed)
		first := w.NotKept()
		must.False(t, w.NotKept())
		must.True(t, first)
		w.Kept()
		_, _ = w.State()
		w.NotKept()
		w.Kept()
	}
	_, changed := w.State()
	must.True(t, changed)
	_, changed = w.State()
	must.False(t, changed)
}

func TestBounds_encode(t *testing.T) {
	b := Bounds{EnergyRatio: 1.1, AddedMass: 5, Hourglass: 10, DtMin: 1e-9, Silence: time.Hour, Action: Stop}
	must.Eq(t, b, Decode(b.Encode()))
	must.Eq(t, Bounds{}, Decode(nil))
	must.Eq(t, Bounds{}, Decode([]byte("{")))
}
