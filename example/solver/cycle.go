// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// outcome is how a run ends.
type outcome int

// The outcomes.
const (
	completed outcome = iota // at the end time
	stopped                  // Normal banner before the end time
	halted                   // Error banner after a stop switch
	failed                   // Error banner after an error
	vanished                 // no banner, exit code 0
	lostRanks                // another rank died, and no launcher ended this one: no banner, exit code 1
)

// loop is the solution in time. Every cycle begins with the state complete:
// switches, outputs and dumps come first, then forces, then the move. So a
// restart takes up exactly where the dump was written.
func (r *run) loop() outcome {
	s := r.solve.State
	if err := r.openBinary(); err != nil {
		return r.broken(err)
	}
	if n := int(r.faults.number("warnings", 0)); n > 0 {
		r.list.flood(n)
	}
	trade := exchange(r.ranks, &r.solve.Part)
	r.watch.lap(timeInit)
	for {
		began := time.Now()
		if o, ended := r.misfortune(s.Cycle + 1); ended {
			return o
		}
		o, ended, err := r.outputs()
		if err != nil {
			return r.broken(err)
		}
		if ended {
			return o
		}
		r.watch.lap(timeOther)
		if err := r.solve.Forces(trade); err != nil {
			return r.broken(err)
		}
		if !(s.Step > 0) || math.IsInf(s.Step, 1) {
			return r.broken(errVelocity)
		}
		r.solve.Move()
		r.watch.lap(timeElement)
		if rest := r.pace - time.Since(began); rest > 0 {
			time.Sleep(rest)
		}
	}
}

// launcherPatience is how long a rank that lost another waits for its end.
const launcherPatience = 20 * time.Second

var errVelocity = errors.New("out-of-range velocities")

// broken prints an error of the solution.
func (r *run) broken(err error) outcome {
	var negative solution.NegativeVolume
	switch {
	case errors.As(err, &negative):
		r.negativeVolume(negative.Element)
	case errors.Is(err, errVelocity):
		r.list.error("SOL", 501, fmt.Sprintf("out-of-range velocities at cycle %d", r.solve.State.Cycle+1))
	case r.ranks.Size > 1:
		fmt.Fprintf(r.stderr, "stand-in solver: rank %d: %v\n", r.ranks.Rank, err)
		// A rank that waits in MPI for a dead one is ended by the launcher. One that
		// ended by itself would be taken for the culprit now and then.
		time.Sleep(launcherPatience)
		return lostRanks
	default:
		r.list.error("SOL", 500, err.Error())
	}
	return failed
}

func (r *run) negativeVolume(element int) {
	r.list.error("SOL", 509, fmt.Sprintf("negative volume in brick element # %d cycle %d", element, r.solve.State.Cycle+1))
}

// misfortune carries out the failures of this cycle.
func (r *run) misfortune(cycle int) (outcome, bool) {
	f, rank := r.faults, r.ranks.Rank
	if len(f) == 0 {
		return 0, false
	}
	if f.strike(rank, cycle) {
		return vanished, true
	}
	// These end all ranks alike: every rank comes to the same cycle.
	if f.due("error", int(f.number("rank", 0)), cycle) {
		r.list.error("SOL", 500, fmt.Sprintf("the stand-in solver was asked to fail at cycle %d", cycle))
		return failed, true
	}
	if f.due("negative_volume", int(f.number("rank", 0)), cycle) {
		r.negativeVolume(r.solve.Model.IDs[0])
		return failed, true
	}
	if f.has("short") && r.solve.State.Time >= f.number("short", 1)*r.plan.EndTime {
		return stopped, true
	}
	return 0, false
}

// outputs does what is due before a cycle: switches, the end, dumps, states.
func (r *run) outputs() (o outcome, ended bool, err error) {
	s, p := r.solve.State, &r.plan
	if s.Cycle == 0 {
		r.event("flush i/o buffers")
		if err := r.plotState(); err != nil {
			return 0, false, err
		}
	}
	if o, ended, err = r.switches(); ended || err != nil {
		return o, ended, err
	}
	if p.EndTime > 0 && s.Time >= p.EndTime {
		r.list.print(Everywhere, " \n *** termination time reached ***\n")
		return completed, true, r.lastWords()
	}
	if p.EndCycle > 0 && s.Cycle >= p.EndCycle {
		r.list.print(Everywhere, " \n *** termination cycle reached ***\n")
		return completed, true, r.lastWords()
	}
	if p.StepMin > 0 && s.Cycle > r.began && s.Step < p.StepMin*s.FirstStep {
		r.list.print(Everywhere, " \n *** termination due to minimum time step ***\n")
		return stopped, true, r.lastWords()
	}
	if s.Cycle > r.began {
		if p.DumpEvery > 0 && s.Cycle%p.DumpEvery == 0 {
			err = r.writeDump("")
		}
		if p.RunrsfEvery > 0 && s.Cycle%p.RunrsfEvery == 0 && err == nil {
			err = r.writeDump("runrsf")
		}
	}
	if p.PlotEvery > 0 && s.Cycle > 0 && s.Time >= p.NextPlot && err == nil {
		err = r.plotState()
	}
	if p.GlstatEvery > 0 && s.Time >= p.NextGlstat && err == nil {
		err = r.statistics()
	}
	return 0, false, err
}

// lastWords writes the dump and the state of the end time.
func (r *run) lastWords() error {
	if !r.args.NoDump {
		if err := r.writeDump(""); err != nil {
			return err
		}
	}
	if err := r.plotState(); err != nil {
		return err
	}
	if r.plan.GlstatEvery > 0 {
		if err := r.statistics(); err != nil {
			return err
		}
	}
	if r.ranks.Rank > 0 {
		return nil
	}
	text, err := checksum(r.solve.State)
	if err != nil {
		return err
	}
	return os.WriteFile(r.prefix+"standin-results", []byte(text), 0o644)
}

// switches looks for d3kil now and then and obeys on all ranks alike.
func (r *run) switches() (outcome, bool, error) {
	cycle := r.solve.State.Cycle
	if (cycle-r.began)%r.poll != 0 {
		return 0, false, nil
	}
	r.affinity.refresh()
	sw, junk := "", ""
	if r.ranks.Rank == 0 {
		if !r.faults.has("ignore_d3kil") {
			sw, junk = readSwitch(killFile, r.faults.has("keep_d3kil"))
		}
		select {
		case sw = <-r.typed:
		default:
		}
		if junk != "" {
			r.list.print(Everywhere, " \n *** sense switch not recognized: %.40q\n", junk)
		}
		if cycle >= r.began+100 && !r.told {
			r.told = true
			r.list.print(Stdout|Messag, "%s", estimate(cpuTime(), time.Since(r.watch.start), r.fraction()))
		}
		if !r.hushed() {
			r.writeStatus()
		}
	}
	sw, err := r.ranks.Broadcast(sw)
	if err != nil || sw == "" {
		return 0, false, err
	}
	return r.obey(sw)
}

// obey carries out a sense switch.
func (r *run) obey(sw string) (outcome, bool, error) {
	s, l := r.solve.State, r.list
	r.obeyed = true
	switch sw {
	case "sw1", "swd":
		l.print(Everywhere, " \n *** kill file detected - terminating ****\n")
		err := r.writeDump("")
		if err == nil && sw == "swd" {
			err = r.writeDynain()
		}
		if err == nil {
			err = r.plotState()
		}
		return stopped, true, err
	case "stop", "quit":
		l.print(Everywhere, " \n *** termination due to sense switch: %s ***\n\n", sw)
		if err := r.plotState(); err != nil {
			return 0, false, err
		}
		return halted, true, nil
	case "sw2":
		l.print(Everywhere, " \n sense switch 2: time = %s  dt = %s  cycle = %8d\n", fortran(s.Time, 5), fortran(r.step(), 5), s.Cycle+1)
	case "sw3":
		return 0, false, r.writeDump("")
	case "sw4":
		return 0, false, r.extraState()
	case "swa":
		r.event("flush i/o buffers")
	case "swb":
		return 0, false, r.writeDynain()
	case "swc":
		if err := r.writeDump(""); err != nil {
			return 0, false, err
		}
		return 0, false, r.writeDynain()
	default:
		if t, ok := switchEndTime(sw); ok {
			r.plan.EndTime = t
			l.print(Stdout|D3hsp, "\n termination time                  = %s\n", fortran(t, 3))
		}
	}
	return 0, false, nil
}

// fraction is how much of the run is done.
func (r *run) fraction() float64 {
	if r.plan.EndTime > 0 {
		return min(1, r.solve.State.Time/r.plan.EndTime)
	}
	return min(1, float64(r.solve.State.Cycle)/float64(max(1, r.plan.EndCycle)))
}

// step is the time step to print: before the first cycle, the one to come.
func (r *run) step() float64 {
	if s := r.solve.State; s.Step > 0 {
		if r.faults.past("dt_collapse", s.Cycle) > 0 {
			return s.Step / 1000
		}
		return s.Step
	}
	if slow := r.solve.Model.Smallest(r.solve.State.X, 1); len(slow) > 0 {
		return slow[0].Step
	}
	return 0
}

// event prints a progress line.
func (r *run) event(what string) {
	if r.hushed() {
		return
	}
	s := r.solve.State
	r.list.progress(Everywhere, s.Cycle+1, s.Time, r.step(), what)
}

// hushed says whether nothing is to be printed.
func (r *run) hushed() bool {
	return !r.obeyed && r.faults.past("quiet", r.solve.State.Cycle) > 0
}

// end prints the end block and its banners and gives the exit code.
func (r *run) end(o outcome) int {
	l := r.list
	banner, code := normalBanner, exitNormal
	switch o {
	case vanished:
		r.alone = true
		return exitNormal
	case lostRanks:
		r.alone = true
		return exitError
	case failed, halted:
		banner, code = errorBanner, exitError
	}
	e := ending{id: r.id, ranks: r.ranks.Size, threads: r.args.threads(), watch: &r.watch, cpu: cpuTime(), now: l.now()}
	if r.solve != nil {
		s, m := r.solve.State, r.solve.Model
		e.cycle, e.time, e.words = s.Cycle+1, s.Time, m.Words()
		e.elements = len(m.Kind) - m.Count[solution.Hinge]
		r.writeStatus()
	}
	l.print(Everywhere, "\n")
	if r.ranks.Rank == 0 {
		l.stamped(banner)
		l.print(Everywhere, "\n S t o r a g e   a l l o c a t i o n   \n\n Memory required to complete solution   : %7dK\n", e.words/1000)
	}
	l.print(Everywhere, "%s", e.block())
	l.stamped(banner)
	if r.ranks.Rank == 0 && r.id.Parallel != "smp" && r.solve != nil {
		s := r.solve.State
		l.progress(Messag, s.Cycle+1, s.Time, s.Step, "flush i/o buffers")
	}
	return code
}
