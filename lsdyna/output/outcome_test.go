// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// finished is a run with everything that a completed run prints.
func finished(change func(*Snapshot)) Snapshot {
	s := Snapshot{
		Phase: PhaseEnded, Licence: Licence{LicenceGranted: true}, Dumps: []Dump{{Name: "d3dump01"}},
		Progress: Progress{HasTime: true, Time: .02, EndTime: .02, Cycle: 10001}, Estimate: Estimate{Elapsed: 125 * time.Second},
		Ending: Ending{TimeReached: true, Banner: NormalBanner, EndBlock: true},
	}
	if change != nil {
		change(&s)
	}
	return s
}

func cut(change func(*Snapshot)) Snapshot {
	return finished(func(s *Snapshot) {
		s.Phase, s.TimeReached, s.Banner, s.EndBlock, s.Time = PhaseSolving, false, NoBanner, false, .01
		if change != nil {
			change(s)
		}
	})
}

func TestDecide(t *testing.T) {
	exited := func(code int) Exit { return Exit{Known: true, Code: code} }
	killed := Exit{Known: true, Signal: 9}
	boom := &SolverError{Code: 40500, Class: "SOL", Text: "NaN"}
	for _, c := range []struct {
		name   string
		said   Snapshot
		exit   Exit
		want   Kind
		reason string
	}{
		{"completed", finished(nil), exited(0), Completed, "t = 0.02 of 0.02, 10001 cycles, 2m5s, 0 errors, 0 warnings"},
		{"completed, nobody saw the exit", finished(nil), Exit{}, Completed, ""},
		{"completed, then a bad exit code", finished(nil), exited(3), Completed, "; exit code 3"},
		{"completed, then killed", finished(nil), killed, Completed, "; then ended by signal 9 (SIGKILL)"},
		{"completed, a hair before the end time", finished(func(s *Snapshot) { s.Time = .01999 }), exited(0), Completed, ""},
		{"killed between the two banners", finished(func(s *Snapshot) { s.EndBlock = false }), killed, Killed, "while LS-DYNA was closing its files"},
		{"short of the end time", finished(func(s *Snapshot) { s.Time = .0199 }), exited(0), Stopped, "before the end time"},
		{"no word of the end time reached", finished(func(s *Snapshot) { s.TimeReached = false }), exited(0), Unknown, "does not say"},
		{"end time not known, but reached", finished(func(s *Snapshot) { s.EndTime = 0 }), exited(0), Completed, "end time not known"},
		{"end time not known, not reached", finished(func(s *Snapshot) { s.EndTime, s.TimeReached = 0, false }), exited(0), Unknown, ""},
		{"normal banner without any time", finished(func(s *Snapshot) { s.HasTime = false }), exited(0), Unknown, ""},
		{"kill file", finished(func(s *Snapshot) { s.TimeReached, s.KillFile, s.Time = false, true, .01 }), exited(0), Stopped, "d3kil"},
		{"sense switch with an error banner", finished(func(s *Snapshot) { s.Banner, s.SenseSwitch, s.Dumps = ErrorBanner, "stop", nil }), exited(1), Stopped, "sense switch stop"},
		{"error and exit code 0", finished(func(s *Snapshot) { s.Banner, s.Errors, s.FirstError = ErrorBanner, 2, boom }), exited(0), Failed, "*** Error 40500 (SOL+500) NaN"},
		{"error after a sense switch", finished(func(s *Snapshot) { s.Banner, s.SenseSwitch, s.Errors, s.FirstError = ErrorBanner, "stop", 1, boom }), exited(0), Failed, "40500"},
		{"student limit", cut(func(s *Snapshot) {
			s.StudentLimit, s.Errors, s.FirstError = true, 1, &SolverError{Code: 70043, Class: "OTH"}
		}), exited(0), LicenceError, "70043 (OTH+43)"},
		{"licence refused", Snapshot{Licence: Licence{LicenceTrouble: "no license"}}, exited(0), LicenceError, "no license"},
		{"licence noise, then cut", cut(func(s *Snapshot) { s.LicenceTrouble = "[license/error] x" }), exited(0), Unknown, "exit code 0"},
		{"gone with exit code 0", cut(nil), exited(0), Unknown, "LS-DYNA printed no end"},
		{"gone with exit code 2", cut(nil), exited(2), Failed, "exit code 2"},
		{"gone with a signal", cut(nil), killed, Killed, "signal 9 (SIGKILL)"},
		{"gone with a launcher's signal", cut(nil), exited(137), Killed, "signal 9 (SIGKILL) (exit code 137)"},
		{"out of memory", cut(nil), Exit{Known: true, Signal: 9, OOMKilled: true}, Killed, "out of memory"},
		{"forrtl names the signal", cut(func(s *Snapshot) { s.Crash, s.CrashSignal = "forrtl: error (78): process killed (SIGTERM)", 15 }), exited(1), Killed, "SIGTERM"},
		{"nobody saw it end", cut(func(s *Snapshot) { s.LastWords = `a "line"` }), Exit{}, Unknown, `exit status unknown, and LS-DYNA printed no end: t = 0.01 of 0.02, 10001 cycles, 2m5s, 0 errors, 0 warnings; last words: "a \"line\""`},
		{"mpirun names the signal", cut(func(s *Snapshot) {
			s.Crash, s.CrashSignal = "mpirun: rank 1 with PID 0 on node x exited on signal 9 (Killed).", 9
		}), Exit{}, Killed, "rank 1"},
		{"nothing at all", Snapshot{}, exited(0), Unknown, "no cycle was run"},
		{"alive", cut(nil), Exit{Running: true}, Running, "t = 0.01 of 0.02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Decide(c.said, c.exit)
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
			must.Eq(t, c.want == Completed, o.Success())
			must.False(t, strings.Contains(o.Reason, "\n"))
			if len(c.said.Dumps) > 0 {
				must.Eq(t, "d3dump01", o.RestartFile)
			}
		})
	}
}

// Whatever is missing of what a completed run prints, the verdict is no success.
func TestDecide_neverSuccessOnDoubt(t *testing.T) {
	for name, spoil := range map[string]func(*Snapshot){
		"banner":       func(s *Snapshot) { s.Banner = NoBanner },
		"error banner": func(s *Snapshot) { s.Banner = ErrorBanner },
		"time reached": func(s *Snapshot) { s.TimeReached = false },
		"problem time": func(s *Snapshot) { s.Time = .0199 },
		"no time":      func(s *Snapshot) { s.HasTime = false },
		"kill file":    func(s *Snapshot) { s.KillFile = true },
		"switch":       func(s *Snapshot) { s.SenseSwitch = "sw1" },
		"limit":        func(s *Snapshot) { s.StudentLimit = true },
	} {
		must.False(t, Decide(finished(spoil), Exit{Known: true}).Success(), must.Sprint(name))
	}
}
