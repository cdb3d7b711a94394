// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/ranks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// plan is what a run has to do and when; it travels in restart files.
type plan struct {
	EndTime     float64
	EndCycle    int
	StepMin     float64
	PlotEvery   float64
	GlstatEvery float64
	DumpEvery   int
	RunrsfEvery int
	NextPlot    float64
	NextGlstat  float64
	Dumps       int // d3dumpNN written so far
	Initial     float64
}

// Exit codes. LS-DYNA's own are uncertain: documents report 0 on error
// termination, a script saw others. STANDIN_FAULT=exit_code=0 gives the former.
const (
	exitNormal  = 0
	exitError   = 1
	exitSIGTERM = 78 // the Fortran runtime exits with its error's number
)

// run is one execution of the solver on one rank.
type run struct {
	args     Arguments
	id       identity
	ranks    *ranks.Ranks
	faults   Faults
	list     *Listing
	affinity *Affinity
	stderr   io.Writer
	prefix   string
	watch    stopwatch
	pace     time.Duration
	poll     int
	typed    chan string // sense switches typed after ctrl-c
	deaf     atomic.Bool // SIGTERM is ignored

	team   *solution.Team
	deck   *deck.Deck
	dump   *Dump // of a restart
	solve  *solution.Run
	others []solution.Partition // every rank's share, on rank 0
	plan   plan
	plot   *D3plot
	glstat *Growing
	began  int // cycle at which this execution began
	told   bool
	obeyed bool // a sense switch
	alone  bool // this rank ends while others may go on
}

// execute is the life of the process; it returns the exit code.
func execute(argv []string, stdout, stderr io.Writer) int {
	if sleepAsChild() {
		return 0
	}
	place := ranks.Find(os.Getenv)
	id := identify(argv[0], place.Size)
	if id.Parallel == "smp" {
		place = ranks.Alone()
	}
	rank := place.Rank
	if path := playFile(); path != "" {
		return act(path, rank, stdout, stderr)
	}
	var screen io.Writer
	if rank == 0 {
		screen = stdout
	}
	affinity, err := newAffinity(rank, screen)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitError
	}
	args, err := parseArguments(argv[1:])
	if err != nil {
		if rank == 0 {
			fmt.Fprintf(stdout, "*** Error 70004 (OTH+4)\r\n    %s\r\n\r\nE r r o r   t e r m i n a t i o n", err)
		}
		return exitError
	}
	r := &run{args: args, id: id, affinity: affinity, stderr: stderr, typed: make(chan string, 1)}
	runtime.GOMAXPROCS(args.threads() + 1) // the workers, and whoever waits for signals
	r.team = solution.NewTeam(args.threads(), affinity.worker)
	r.watch.start = time.Now()
	r.watch.last = r.watch.start
	if args.JobID != "" {
		r.prefix = args.JobID + "."
	}
	if err := r.settings(); err != nil {
		fmt.Fprintln(stderr, "stand-in solver:", err)
		return exitError
	}
	r.catchSignals(screen)
	if r.ranks, err = ranks.Connect(place); err != nil {
		fmt.Fprintln(stderr, "stand-in solver:", err)
		return exitError
	}
	var code int
	if r.args.Case {
		code = r.cases(screen)
	} else {
		code = r.whole(screen)
	}
	if !r.alone {
		r.ranks.Leave()
	}
	return int(r.faults.number("exit_code", float64(code)))
}

// settings reads the environment that is the stand-in solver's own.
func (r *run) settings() error {
	var err error
	if r.faults, err = parseFaults([]string{os.Getenv("STANDIN_FAULT")}); err != nil {
		return err
	}
	if v := os.Getenv("STANDIN_PACE"); v != "" {
		if r.pace, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("read STANDIN_PACE: %w", err)
		}
	}
	r.deaf.Store(r.faults.has("ignore_sigterm"))
	r.poll = 100
	if r.pace > 0 { // look at least five times a second
		r.poll = min(100, max(1, int(200*time.Millisecond/r.pace)))
	}
	if v := os.Getenv("STANDIN_POLL"); v != "" {
		if _, err := fmt.Sscan(v, &r.poll); err != nil || r.poll < 1 {
			return fmt.Errorf("STANDIN_POLL must be a number of cycles, not %q", v)
		}
	}
	return nil
}

// whole runs from the header to the last banner.
func (r *run) whole(screen io.Writer) int {
	number := 0
	if r.args.Restart != "" {
		number = restartNumber(r.prefix, r.id, r.ranks.Rank)
	}
	var err error
	if r.list, err = openListing(screen, r.prefix, r.id, r.ranks.Rank, number); err != nil {
		fmt.Fprintln(r.stderr, "stand-in solver:", err)
		return exitError
	}
	inputErr := r.input()
	r.watch.lap(timeKeyword)
	r.preface()
	if code, ended := r.licence(); ended {
		return code
	}
	if seconds, ok := r.faults["child"]; ok {
		if err := leaveChild(seconds); err != nil {
			fmt.Fprintln(r.stderr, "stand-in solver:", err)
		}
	}
	accepted := r.accept(inputErr)
	all, err := r.ranks.Agree(accepted)
	switch {
	case err != nil:
		return r.end(r.broken(err))
	case !all && accepted:
		r.list.error("OTH", 22, "another MPP rank failed in the input phase: see its message file")
		return r.end(failed)
	case !all:
		return r.end(failed)
	}
	return r.end(r.loop())
}

// input reads the deck and the dump without a word; what there is to say comes
// after the header. Directives of the deck are in force from here on.
func (r *run) input() error {
	var err error
	if r.args.Input != "" {
		if r.deck, err = deck.Read(r.args.Input, deck.Options{Long: r.args.Long}); err != nil {
			return err
		}
		asked, err := parseFaults(r.deck.Directives)
		if err != nil {
			return err
		}
		r.mergeFaults(asked)
	}
	if r.args.Restart != "" {
		name := r.args.Restart
		if r.dump, err = readDump(dumpName(name, r.id, r.ranks.Rank), r.id, r.ranks.Size); err != nil {
			return err
		}
	}
	return nil
}

// mergeFaults adds failures that the environment does not name itself.
func (r *run) mergeFaults(more Faults) {
	for name, value := range more {
		if !r.faults.has(name) {
			r.faults[name] = value
		}
	}
	r.deaf.Store(r.faults.has("ignore_sigterm"))
}

// preface prints everything up to the keyword reader.
func (r *run) preface() {
	l := r.list
	option := map[string]string{"network": "check network license only", "local": "check local license only", "ansys": "check ansys license only"}
	l.print(Stdout, " License option : %s\n", option[licenceKind()])
	l.print(Everywhere, legal)
	l.print(Everywhere, "%s", header(r.id, r.ranks.Size, l.now()))
	l.print(Stdout, " > %s\n\n", strings.Join(r.args.Words, " "))
}

// opening prints what follows the licence.
func (r *run) opening() {
	l := r.list
	l.print(Everywhere, "%s", options(r.args.Words))
	if r.args.Input != "" {
		l.print(Everywhere, " Input file: %-80.80s\n\n", r.args.Input)
	}
	l.print(Everywhere, " The native file format       : %d-bit small endian\n", 8*r.id.wordBytes())
	words, from := r.memory()
	l.print(Everywhere, " Memory size from %s%12d\n", from, words)
	l.print(Stdout, switchList)
	l.print(Everywhere, notice)
	if r.ranks.Rank == 0 {
		r.leaveScripts()
	}
}

// leaveScripts writes the two files that LS-DYNA leaves in the run folder.
func (r *run) leaveScripts() {
	for name, format := range map[string]string{"bg_switch": "kill -INT %d\n", "kill_by_pid": "kill -9 %d\n"} {
		if err := os.WriteFile(r.prefix+name, fmt.Appendf(nil, format, os.Getpid()), 0o755); err != nil {
			fmt.Fprintln(r.stderr, "stand-in solver:", err)
		}
	}
}

// memory is the number of words this rank may use, and where it was said.
func (r *run) memory() (int, string) {
	switch {
	case r.ranks.Rank > 0 && r.args.Memory2 > 0:
		return r.args.Memory2, "command line:"
	case r.args.Memory > 0:
		return r.args.Memory, "command line:"
	}
	return defaultMemory, "default     :"
}

// accept builds the model or takes it from the dump, and says so. It returns
// false when the input is wrong.
func (r *run) accept(inputErr error) bool {
	l := r.list
	r.opening()
	if r.args.Input != "" {
		l.stamped(" Beginning of keyword reader")
	}
	if inputErr != nil {
		l.error("KEY", 86, inputErr.Error())
		return false
	}
	if r.deck != nil {
		l.keyword(r.deck.Log)
	}
	var model *solution.Model
	var state *solution.State
	if r.dump != nil && r.deck != nil && len(r.deck.Nodes) > 0 {
		l.error("KEY", 305, "*NODE is no keyword of a small restart: the restart file holds the model")
	}
	if r.dump != nil {
		model, state = r.dump.Model, r.dump.State
		r.plan = r.dump.Plan
		r.plan.restart(r.deck, r.args)
	} else {
		var errors []deck.Message
		model, state, errors = solution.Build(r.deck)
		l.keyword(errors)
		r.plan = newPlan(r.deck, r.args)
		if r.plan.EndTime <= 0 && r.plan.EndCycle <= 0 {
			l.error("KEY", 131, "no termination time is given: *CONTROL_TERMINATION is missing")
		}
	}
	if l.Errors > 0 {
		l.error("KEY", 133, fmt.Sprintf("input data failed with: %d errors", l.Errors))
		return false
	}
	if !r.fits(model) {
		return false
	}
	r.prepare(model, state)
	return true
}

// fits checks memory and the licence's element limit.
func (r *run) fits(m *solution.Model) bool {
	l := r.list
	l.print(Everywhere, "\n Memory required to process keyword     : %10d  \n\n input of data is completed\n", m.Words()/4)
	have, _ := r.memory()
	if need := m.Words(); need > have {
		l.error("OTH", 21, fmt.Sprintf("insufficient memory: %d words are needed, %d are given\nrerun with memory=%d or more", need, have, need))
		return false
	}
	return true
}

// prepare starts the threads and opens the binary outputs.
func (r *run) prepare(m *solution.Model, s *solution.State) {
	size := r.ranks.Size
	part := solution.Decompose(m, r.ranks.Rank, size)
	if size > 1 {
		r.decomposition()
		if r.ranks.Rank == 0 {
			for n := range size {
				r.others = append(r.others, solution.Decompose(m, n, size))
			}
		}
	}
	r.solve = solution.NewRun(m, s, part, r.team)
	r.began = s.Cycle
	l := r.list
	if r.dump == nil {
		r.plan.Initial = r.solve.Energies().Total()
	}
	l.print(D3hsp, "%s", keywordCounts(m.Count, len(m.NodeIDs), len(m.Props), r.plan.EndTime, r.plan.DumpEvery))
	l.print(Everywhere, "\n initial kinetic energy = %s\n", fortran(r.plan.Initial, 8))
	l.print(Stdout|D3hsp, "\n termination time                  = %s\n", fortran(r.plan.EndTime, 3))
	l.print(Everywhere, "\n Memory required to begin solution      : %7dK\n", m.Words()/1000)
	l.print(Stdout, "\n initialization completed\n")
	r.smallest(m)
}

func (r *run) decomposition() {
	for phase := 1; phase <= 3; phase++ {
		r.list.print(Stdout|Messag, " Performing Decomposition -- Phase %d\n", phase)
	}
}

// smallest lists the elements that hold the time step down.
func (r *run) smallest(m *solution.Model) {
	var b strings.Builder
	b.WriteString("\n  25 smallest timesteps\n ------------------------------------------------\n" +
		" element       number                part    timestep\n")
	for _, s := range m.Smallest(m.Start, 25) {
		fmt.Fprintf(&b, " %-5s %15d %19d %11s\n", kindNames[s.Kind], s.ID, s.Part, fortran(s.Step, 4))
	}
	r.list.print(Messag|D3hsp, "%s", b.String())
}

// newPlan takes the control cards; the command line comes first.
func newPlan(d *deck.Deck, a Arguments) plan {
	p := plan{
		EndTime: d.EndTime, EndCycle: d.EndCycle, StepMin: d.TimeStepMin, PlotEvery: d.PlotEvery,
		GlstatEvery: d.GlstatEvery, DumpEvery: d.DumpEvery, RunrsfEvery: d.RunrsfEvery,
	}
	p.command(a)
	return p
}

func (p *plan) command(a Arguments) {
	if a.EndTime > 0 {
		p.EndTime = a.EndTime
	}
	if a.Cycles > 0 {
		p.EndCycle = a.Cycles
	}
}

// restart takes what a small restart deck changes.
func (p *plan) restart(d *deck.Deck, a Arguments) {
	if d != nil {
		if d.Set["CONTROL_TERMINATION"] {
			p.EndTime, p.EndCycle = d.EndTime, d.EndCycle
		}
		if d.Set["DATABASE_BINARY_D3PLOT"] {
			p.PlotEvery = d.PlotEvery
		}
		if d.Set["DATABASE_BINARY_D3DUMP"] {
			p.DumpEvery = d.DumpEvery
		}
		if d.Set["DATABASE_GLSTAT"] {
			p.GlstatEvery = d.GlstatEvery
		}
	}
	p.command(a)
}

// cpuTime is the processor time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
