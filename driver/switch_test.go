// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// stopping begins a stop of a frozen solver and returns when its switch lies in
// the run folder.
func (r *run) stopping(timeout time.Duration) (ended <-chan error) {
	r.t.Helper()
	done := make(chan error, 1)
	driver := r.n.Driver
	go func() { done <- driver.StopTask(r.id, timeout, "SIGTERM") }()
	eventually(r.t, "the switch lies there", func() bool { return r.read("d3kil") == "sw1.\n" })
	return done
}

// inOrder demands that the events were said in this order.
func (r *run) inOrder(words ...string) {
	r.t.Helper()
	said := r.n.said(r.id)
	at := -1
	for _, w := range words {
		i := slices.IndexFunc(said, func(s string) bool { return strings.Contains(s, w) })
		must.Greater(r.t, at, i, must.Sprintf("%q comes not after the others in:\n%s", w, strings.Join(said, "\n")))
		at = i
	}
}

func TestStop_TellsEachStep(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	goOn := r.freeze()
	ended := r.stopping(patience)
	goOn()
	must.NoError(t, <-ended)
	n.hears(r.id, "Stopped by")
	r.inOrder("Stopping with sw1; the solver has ", "Solver took sw1 ", "Stopping with sw1, dump d3dump01 written at t = ", "Stopped by")
	must.StrContains(t, strings.Join(n.said(r.id), "\n"), " MB, in ")
}

// A plugin that is killed in the middle of a stop leaves it to its successor,
// whether Nomad asks for the stop again, only recovers the task, or recovers it
// after the solver ended.
func TestStop_IsFinishedByTheNextPlugin(t *testing.T) {
	const goingOn = "Going on with the stop that an earlier plugin process had begun"
	for name, finish := range map[string]func(r *run, goOn func()){
		"Nomad asks again": func(r *run, goOn func()) {
			r.comeBack()
			again := make(chan error, 1)
			go func() { again <- r.n.StopTask(r.id, patience, "SIGTERM") }()
			goOn()
			must.NoError(r.t, <-again)
		},
		"Nomad recovers the task": func(r *run, goOn func()) {
			r.comeBack()
			r.n.hears(r.id, goingOn)
			goOn()
		},
		// The solver may end before the driver has looked at the run: nothing is
		// left to go on with then, so no event of it is demanded.
		"Nomad recovers it when the solver has ended": func(r *run, goOn func()) {
			goOn()
			eventually(r.t, "the solver ends", func() bool { return !alive(r.pid) })
			r.comeBack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			r.computes()
			goOn := r.freeze()
			ended := r.stopping(patience)
			n.stop()
			must.Error(t, <-ended)
			must.True(t, alive(r.pid))
			n.launch()
			finish(r, goOn)
			result := r.wait()
			must.False(t, alive(r.pid))
			must.FileExists(t, filepath.Join(r.folder, "d3dump01"))
			must.ErrorContains(t, result.Err, "stopped by")
			must.Eq(t, 0, result.Signal)
			n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
			must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "Sent SIG")
			_, err := os.Stat(filepath.Join(r.folder, "d3kil"))
			must.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func TestStop_BegunButNotSentIsSentByTheNextPlugin(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	now := time.Now()
	must.NoError(t, r.task().Record().WriteStop(state.Stop{Began: now, Deadline: now.Add(patience), Signal: "SIGTERM"}))
	n.restart()
	r.comeBack()
	must.ErrorContains(t, r.wait().Err, "stopped by")
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
}

func TestStop_EndsByForceAtItsDeadlineAlsoInTheNextPlugin(t *testing.T) {
	n := newNode(t)
	inGoodTime(t, func(timeout time.Duration) string {
		r := n.start(slowJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil"))
		r.computes()
		began := time.Now().Add(-time.Minute)
		must.NoError(t, r.task().Record().WriteStop(state.Stop{Began: began, Deadline: began.Add(timeout), Signal: "SIGTERM"}))
		n.restart()
		r.comeBack()
		must.Eq(t, 9, r.wait().Signal)
		must.Eq(t, "", r.unsaid("did not end within kill_timeout"))
		return r.unsaid("Going on with the stop", "did not take it", "Sent SIGTERM")
	})
}

// The dump was written while no plugin was there to see it.
func TestStop_OutcomeIsToldWhenNobodyWatched(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	goOn := r.freeze()
	ended := r.stopping(patience)
	n.stop()
	<-ended
	goOn()
	eventually(t, "the solver ends", func() bool { return !alive(r.pid) })
	eventually(t, "the end is recorded", func() bool {
		_, err := os.Stat(filepath.Join(r.recordDir(), "exit.json"))
		return err == nil
	})
	n.launch()
	r.comeBack()
	must.ErrorContains(t, r.wait().Err, "stopped by")
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
}

// Without the run's details the switch is not known: the stop waits for them.
func TestStop_OfADamagedRecordIsFinishedWithADump(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	goOn := r.freeze()
	ended := r.stopping(patience)
	n.stop()
	<-ended
	must.NoError(t, os.WriteFile(filepath.Join(r.recordDir(), "task.json"), []byte("{"), 0o600))
	n.launch()
	r.comeBack()
	goOn()
	must.ErrorContains(t, r.wait().Err, "stopped by")
	n.hears(r.id, "repaired from the driver state")
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
	must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "Sent SIG")
}

func TestStart_WaitsForARunThatIsBeingStoppedThere(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	goOn := r.freeze()
	ended := r.stopping(patience)
	next := standinJob("ncpu = 1")
	next.files, next.folder = deckFiles(t, true), r.folder
	cfg := n.task(next)
	var handle *drivers.TaskHandle
	started := make(chan error, 1)
	go func() {
		var err error
		handle, _, err = n.StartTask(cfg)
		started <- err
	}()
	eventually(t, "the start has come to the folder", func() bool {
		late, cancel := context.WithCancel(t.Context())
		cancel()
		unlock, err := n.starts.Lock(late, "folder "+r.folder)
		if err == nil {
			unlock()
		}
		return err != nil
	})
	goOn()
	must.NoError(t, <-started)
	must.NoError(t, <-ended)
	after := n.started(cfg, handle)
	must.True(t, after.wait().Successful())
	n.hears(after.id, "Restarting from d3dump01")
}

// A dump that is being written is not cut by a signal while there is time.
func TestStop_SendsNoSignalIntoAGrowingDump(t *testing.T) {
	n := newNode(t)
	j := n.script(`echo '       1 t 0.0000E+00 dt 1.00E-04 flush i/o buffers            03/02/25 10:00:00'
while [ ! -e d3kil ] || [ ! -e seen ]; do sleep 0.01; done
rm d3kil
while [ ! -e enough ]; do echo more >>d3dump01; sleep 0.02; done
echo '       2 t 1.0000E-04 dt 1.00E-04 write d3dump01 file          03/02/25 10:00:01'
exit 0`)
	j.config = strings.Replace(j.config, `stop = ""`, "", 1)
	inGoodTime(t, func(timeout time.Duration) string {
		r := n.start(j)
		r.computes()
		ended := r.stopping(timeout)
		must.NoError(t, os.WriteFile(filepath.Join(r.folder, "seen"), nil, 0o644))
		const spares = "no signal is sent while it does"
		eventually(t, "the solver is spared, or not", func() bool {
			return len(ended) > 0 || strings.Contains(strings.Join(n.said(r.id), "\n"), spares)
		})
		must.NoError(t, os.WriteFile(filepath.Join(r.folder, "enough"), nil, 0o644))
		must.NoError(t, <-ended)
		r.wait()
		if strings.Contains(r.saidByNow(), "Sent SIGTERM") {
			return "the solver's signal was not held back"
		}
		return r.unsaid(spares, "Stopping with sw1, dump d3dump01 written at t = 1.0000E-04")
	})
}

func TestSignal_TheEffectOfEachSenseSwitchIsTold(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	for _, c := range []struct{ signal, effect string }{
		{"SIGUSR1", "Switch sw3, dump d3dump01 written at t = "},
		{"SIGUSR2", "Switch sw4: plot state written at t = "},
		{"SIGUSR1", "Switch sw3, dump d3dump02 written at t = "},
	} {
		must.NoError(t, n.SignalTask(r.id, c.signal))
		n.hears(r.id, c.effect)
	}
	must.True(t, alive(r.pid))
	told := slices.DeleteFunc(n.said(r.id), func(text string) bool { return !strings.Contains(text, "sw3") && !strings.Contains(text, "sw4") })
	must.Len(t, 3, told, must.Sprint("one event a signal: Nomad keeps ten"))

	goOn := r.freeze()
	must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
	must.NoError(t, n.SignalTask(r.id, "SIGUSR2"), must.Sprint("it waits"))
	ended := r.stopping(patience)
	must.ErrorContains(t, n.SignalTask(r.id, "SIGUSR2"), "is being stopped")
	goOn()
	must.NoError(t, <-ended)
	n.hears(r.id, "Stopping with sw1, dump d3dump03 written at t = ")
	n.hears(r.id, "Switch sw3: the run was stopped before the solver took it")
	n.hears(r.id, "Switch sw4 was not sent: the run is being stopped")
}

// Each of two signals in a row has its result, also where the plugin was killed before the
// solver took the first.
func TestSignal_TwoAtOnceAreBothTold(t *testing.T) {
	for name, meanwhile := range map[string]func(n *node, r *run){
		"in one plugin":        func(*node, *run) {},
		"the plugin is killed": func(n *node, r *run) { n.restart(); r.comeBack() },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			r.computes()
			goOn := r.freeze()
			must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
			must.NoError(t, n.SignalTask(r.id, "swn"))
			must.NoError(t, n.SignalTask(r.id, "SIGUSR2"))
			meanwhile(n, r)
			goOn()
			n.hears(r.id, "Switch sw3, dump d3dump01 written at t = ")
			n.hears(r.id, "Switch swn: the solver took it")
			n.hears(r.id, "Switch sw4: plot state written at t = ")
			_, err := os.Stat(filepath.Join(r.folder, "d3dump02"))
			must.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

// Switches of newer versions of LS-DYNA are sent by their names; what is none is refused.
func TestSignal_SwitchesByTheirNames(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	for sw, effect := range map[string]string{
		"sw2": "Switch sw2: the solver says: sense switch 2: time", "swz": "Switch swz: the solver says: sense switch not recognized",
		"endtime=9": "Switch endtime=9: the solver took it", "swa": "Switch swa: output buffers flushed",
	} {
		must.NoError(t, n.SignalTask(r.id, sw))
		n.hears(r.id, effect)
	}
	for sw, words := range map[string]string{
		"sw1": "ends the run: nomad alloc stop does that", "stop": "unknown signal", "sw5": "unknown signal", "sw1\nx": "unknown signal", "TERM": "unknown signal",
		"endtime=1e-9": "has passed that time", "endtime=x": "needs a problem time above 0",
	} {
		must.ErrorContains(t, n.SignalTask(r.id, sw), words)
	}
	must.True(t, alive(r.pid))
}

// A solver that leaves d3kil obeys it again and again: one dump and no more is to come of a
// signal, and the next signal has its own effect.
func TestSignal_SolverThatLeavesTheSwitch(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1", "keep_d3kil")
	j.env["STANDIN_POLL"] = "10" // once more after two seconds, however busy the machine is
	r := n.start(j)
	r.computes()
	for i := range 3 {
		must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
		n.hears(r.id, fmt.Sprintf("Switch sw3, dump d3dump%02d written at t = ", i+1))
		must.NoError(t, n.SignalTask(r.id, "SIGUSR2"))
		eventually(t, "its plot state", func() bool { return strings.Count(r.saidByNow(), "Switch sw4: plot state written") == i+1 })
	}
	must.StrContains(t, r.saidByNow(), "the solver left d3kil, which was removed")
	_, err := os.Stat(filepath.Join(r.folder, "d3kil"))
	must.ErrorIs(t, err, os.ErrNotExist)
	must.StrNotContains(t, r.read("stdout"), "d3dump04")
}

func TestSignal_NoSwitchForASolverThatDoesNotCompute(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1", "license_wait=forever"))
	must.ErrorContains(t, n.SignalTask(r.id, "SIGUSR1"), "does not look for switches before it computes")
	_, err := os.Stat(filepath.Join(r.folder, "d3kil"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// progressing prints the lines of a run of 100 cycles in so many seconds.
func progressing(seconds int) string {
	var b strings.Builder
	b.WriteString("cat <<'END'\n termination time                  = 1.000E+00\n")
	for i := range 3 {
		fmt.Fprintf(&b, "%8d t %.4E dt 1.00E-04 write d3plot file            03/02/25 10:%02d:%02d\n", i*100, float64(i)*.01, i*seconds/60, i*seconds%60)
	}
	b.WriteString("END\nwhile :; do sleep 0.05; done")
	return b.String()
}

func TestStop_KillTimeoutThatIsTooShortIsSaid(t *testing.T) {
	n := newNode(t)
	start := func(seconds int) *run {
		j := n.script(progressing(seconds))
		j.config = strings.Replace(j.config, `stop = ""`, "", 1)
		return n.start(j)
	}
	quick := start(2)
	eventually(t, "the driver knows its rate", func() bool { return quick.task().View().Snapshot.SwitchDelay > 0 })
	must.NoError(t, n.StopTask(quick.id, time.Second, "SIGTERM"))
	must.StrNotContains(t, quick.saidByNow(), "A stop with sw1 takes")
	inGoodTime(t, func(timeout time.Duration) string {
		slow := start(40)
		n.hears(slow.id, "A stop with sw1 takes this run about 40s and then its dump: kill_timeout must be well above that (Nomad's default is 5s)"+
			", and so must the client's max_kill_timeout (default 30s)")
		must.NoError(t, n.StopTask(slow.id, timeout, "SIGTERM"))
		must.Eq(t, 1, strings.Count(slow.saidByNow(), "A stop with sw1 takes"))
		return slow.unsaid("but looks for it only about every 40s: kill_timeout is too short for this run")
	})
}

// A dump that the solver wrote a moment before the stop, which nobody has read of yet,
// is none of the stop's, also to a plugin that has to finish the stop.
func TestStop_DumpOfAMomentAgoIsNotTheStops(t *testing.T) {
	n := newNode(t)
	j := n.script(`echo '       1 t 0.0000E+00 dt 1.00E-04 flush i/o buffers            03/02/25 10:00:00'
while [ ! -e dumps ]; do sleep 0.01; done
echo dump >d3dump01
echo '       2 t 1.0000E-04 dt 1.00E-04 write d3dump01 file          03/02/25 10:00:01'
touch dumped
while [ ! -e d3kil ] || [ ! -e go ]; do sleep 0.01; done
rm d3kil
exit 0`)
	j.config = strings.Replace(j.config, `stop = ""`, "", 1)
	r := n.start(j)
	r.computes()
	must.NoError(t, os.WriteFile(filepath.Join(r.folder, "dumps"), nil, 0o644))
	eventually(t, "it has dumped", func() bool {
		_, err := os.Stat(filepath.Join(r.folder, "dumped"))
		return err == nil
	})
	ended := r.stopping(patience)
	eventually(t, "the dump before the stop is recorded", func() bool {
		order, err := r.task().Record().ReadStop()
		must.NoError(t, err)
		return strings.Contains(string(order.LastDump), "d3dump01")
	})
	r.open()
	must.NoError(t, <-ended)
	r.wait()
	n.hears(r.id, "Stopping with sw1: ")
	must.StrNotContains(t, r.saidByNow(), "dump d3dump01 written")
}

// A busy disk may hold up the supervisor while it records the end.
func TestStop_SendsNoSignalWhereTheSolverHasEnded(t *testing.T) {
	n := newNode(t)
	inGoodTime(t, func(timeout time.Duration) string {
		r := n.start(slowJob("ncpu = 1"))
		r.computes()
		goOn, supervisor := r.freeze(), supervisorOf(r)
		ended := r.stopping(timeout)
		must.NoError(t, syscall.Kill(supervisor, syscall.SIGSTOP))
		order, err := r.task().Record().ReadStop()
		must.NoError(t, err)
		goOn()
		eventually(t, "the solver ends", func() bool { return !alive(r.pid) })
		signal := order.Deadline.Add(-timeout / 5) // what is left then is the signal's
		tooLate := time.Now().After(signal)
		<-time.After(time.Until(signal.Add(timeout / 10)))
		must.NoError(t, syscall.Kill(supervisor, syscall.SIGCONT))
		must.NoError(t, <-ended)
		if tooLate || time.Now().After(order.Deadline) {
			return "the end, as the machine was too busy"
		}
		must.Eq(t, "", r.unsaid("Stopped by"))
		must.StrNotContains(t, r.saidByNow(), "Sent SIGTERM")
		must.StrNotContains(t, r.saidByNow(), "still runs")
		return ""
	})
}
