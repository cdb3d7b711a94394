// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/watchdog"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
)

// TaskSettings are what a task asks for, on a node that allows it.
type TaskSettings struct {
	Solver       lsdyna.Solver // without a name where the job names an executable
	Group        string        // name or gid, "" for the user's primary group
	Input        string
	WorkRoot     string // the work root that holds the run folder, "" for the task directory
	WorkDir      string // the run folder, relative to that
	NCPU         int    // 0: not said; below 0 asks for consistent results; on each node
	Nodes        int    // on which the run is; at least 1
	FirstNode    int    // number among these of the group's first allocation
	RanksPerNode int    // 0: by the solver's kind and the node's NUMA nodes
	Threads      int    // of each rank; 0: likewise
	Memory       string // in words of the solver's precision, "auto", or "" for its default
	Memory2      string
	JobID        string
	Args         []string
	Restart      Restart
	Stop         *lsdyna.Switch // tried before the signal; nil for none
	Shortage     Shortage
	StartTimeout time.Duration // 0 for none
	Watch        watchdog.Bounds
	Report       bool // leave a page about the run in its folder
	Checkpoint   Checkpoint
}

// Checkpoint says how often a run writes a dump and goes on.
type Checkpoint struct {
	Every time.Duration // 0: never
	Keep  int           // the newest that stay
}

// Shortage is what a task does when there are fewer free cores than it asks for.
type Shortage string

// The two things to do in a shortage.
const (
	ShortageUnpinned Shortage = "unpinned" // warn and run without affinity
	ShortageRetry    Shortage = "retry"    // fail the start so that the restart policy tries again
)

// RestartMode says whether a run begins with the deck or with a dump.
type RestartMode int

// The restart modes.
const (
	RestartNever RestartMode = iota // with the deck
	RestartAuto                     // with the newest good dump of this very run, else with the deck
	RestartFrom                     // with a dump that the job names
)

// Restart says where a run begins.
type Restart struct {
	Mode RestartMode
	Dump string // of RestartFrom: a name in the run folder
}

// StopName returns the stop switch as users write it, "sw1", and "" for none.
func (t *TaskSettings) StopName() string {
	if t.Stop == nil {
		return ""
	}
	return strings.TrimSuffix(t.Stop.Name, ".")
}

// ParseTask reads a task's config block. The error reports everything that is
// wrong with it on this node, in sentences that say what to write.
func (s *Settings) ParseTask(c TaskConfig) (*TaskSettings, error) {
	t := &TaskSettings{
		Group: c.Group, Input: c.Input, WorkDir: c.WorkDir, NCPU: c.NCPU, Nodes: 1, Memory: c.Memory, Memory2: c.Memory2,
		JobID: c.JobID, Args: c.Args, Report: c.Report,
	}
	var p problems
	var known bool
	t.Solver, known = s.parseTaskSolver(c, &p)
	if t.Input == "" {
		p.add("input must name the keyword deck, e.g. input = \"main.k\"")
	}
	t.parseWorkDir(s, &p)
	t.Stop = parseStop(c.Stop, &p)
	switch t.Shortage = Shortage(c.Shortage); t.Shortage {
	case ShortageUnpinned, ShortageRetry:
	default:
		p.add("shortage must be %q or %q, not %q", ShortageUnpinned, ShortageRetry, c.Shortage)
	}
	t.Restart = parseRestart(c.Restart, &p)
	var err error
	if t.StartTimeout, err = time.ParseDuration(c.StartTimeout); err != nil || t.StartTimeout < 0 {
		p.add("start_timeout must be a duration such as \"10m\", or \"0s\" for none, not %q", c.StartTimeout)
	}
	t.Watch = parseWatch(c.Watch, &p)
	t.Checkpoint = parseCheckpoint(c, &p)
	t.checkNodes(s, c, &p)
	sound := !known || t.Nodes <= 1 || t.checkNodesSolver(&p)
	t.parseShape(c, known && sound, &p)
	if err := p.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// parseTaskSolver finds the solver that a task names, or makes one of its command. It
// reports false where there is none.
func (s *Settings) parseTaskSolver(c TaskConfig, p *problems) (solver lsdyna.Solver, known bool) {
	solver, known = s.Solver(c.Solver)
	switch {
	case c.Solver == "" && c.Command == "":
		p.add("name a solver: solver = %s", quotedList(s.solverNames()))
	case c.Solver != "" && c.Command != "":
		p.add("solver and command exclude each other; remove one")
	case c.Solver != "" && !known:
		p.add("solver %q is not configured on this node; it has %s", c.Solver, quotedList(s.solverNames()))
	case c.Solver != "":
		return solver, true
	case !s.AllowCommand:
		p.add("command is not allowed on this node; use solver = %s, or have the operator set allow_command = true", quotedList(s.solverNames()))
	case !filepath.IsAbs(c.Command):
		p.add("command must be an absolute path, not %q", c.Command)
	default:
		return lsdyna.Solver{Path: c.Command}.WithDefaults(), true
	}
	return lsdyna.Solver{}, false
}

// checkNodes checks what a run over several nodes needs.
func (t *TaskSettings) checkNodes(s *Settings, c TaskConfig, p *problems) {
	t.FirstNode = c.FirstNode
	if c.Nodes != nil {
		t.Nodes = *c.Nodes
	}
	switch {
	case t.Nodes < 1 || t.Nodes > member.MaxNodes:
		p.add("nodes = %d: give the number of nodes, from 1 to %d, or leave it out for one", t.Nodes, member.MaxNodes)
		return
	case t.Nodes == 1:
		if c.FirstNode != 0 || c.RanksPerNode != nil {
			p.add("first_node and ranks_per_node are for a run over several nodes: set nodes; on one node ranks says how many there are")
		}
		return
	}
	if t.WorkRoot == "" {
		p.add("nodes = %d: work_dir must be an absolute path below one of the node's work_roots (%s), on a file system that all nodes share", t.Nodes, quotedList(s.WorkRoots))
	}
	if t.StartTimeout == 0 {
		p.add("nodes = %d needs a start_timeout: the nodes that are there wait for the others, with their cores, and must not do so for ever", t.Nodes)
	}
	if c.FirstNode < 0 || c.FirstNode >= t.Nodes {
		p.add("first_node = %d is not one of the %d nodes, which are counted from 0", c.FirstNode, t.Nodes)
	}
}

// checkNodesSolver checks that the ranks of a known solver can be on several nodes. It
// reports false for a solver that has none.
func (t *TaskSettings) checkNodesSolver(p *problems) bool {
	switch {
	case t.Solver.Name == "":
		p.add("nodes = %d needs a solver whose ranks can be on several nodes, and command is run as SMP: use solver", t.Nodes)
		return false
	case t.Solver.Parallel == lsdyna.SMP:
		p.add("nodes = %d needs a solver whose ranks can be on several nodes, and solver %q is SMP", t.Nodes, t.Solver.Name)
		return false
	case t.Solver.MPI != "" && !launch.CanUseNodes(t.Solver.MPI):
		p.add("nodes = %d: solver %q has mpi = %q, whose launcher cannot use several nodes", t.Nodes, t.Solver.Name, t.Solver.MPI)
	}
	return true
}

// parseWorkDir splits an absolute work_dir into its work root and what is below.
func (t *TaskSettings) parseWorkDir(s *Settings, p *problems) {
	if !filepath.IsAbs(t.WorkDir) {
		return
	}
	t.WorkRoot = s.WorkRoot(t.WorkDir)
	if t.WorkRoot == "" {
		p.add("work_dir %q is not below one of this node's work_roots (%s): use a folder there, or have the operator add one", t.WorkDir, quotedList(s.WorkRoots))
		return
	}
	below, err := filepath.Rel(t.WorkRoot, t.WorkDir)
	p.check(err)
	t.WorkDir = below
}

func parseStop(text string, p *problems) *lsdyna.Switch {
	if text == "" {
		return nil
	}
	sw, err := lsdyna.ParseStop(text)
	switch {
	case slices.Contains([]string{"none", "off", "never", "false"}, strings.ToLower(text)):
		p.add("stop = %q is no sense switch; use \"\" for none", text)
	case err != nil:
		p.add("stop: %w, or \"\" for none", err)
	}
	return &sw
}

// Of checkpoints.
const (
	leastCheckpoint = time.Second
	keepCheckpoints = 2  // the newest may be cut by what ends the run
	mostCheckpoints = 32 // well below those that a run's record knows
)

func parseCheckpoint(c TaskConfig, p *problems) Checkpoint {
	o := Checkpoint{Keep: keepCheckpoints}
	if c.CheckpointKeep != nil {
		o.Keep = *c.CheckpointKeep
	}
	switch {
	case o.Keep < 1:
		p.add("checkpoint_keep = %d: give the number of checkpoints that stay, at least 1, or leave it out for %d", o.Keep, keepCheckpoints)
	case o.Keep > mostCheckpoints:
		p.add("checkpoint_keep = %d: give the number of checkpoints that stay, at most %d", o.Keep, mostCheckpoints)
	case c.Checkpoint == "" && c.CheckpointKeep != nil:
		p.add("checkpoint_keep is for checkpoints: set checkpoint to their interval, e.g. \"1h\"")
	}
	if c.Checkpoint == "" {
		return Checkpoint{}
	}
	var err error
	if o.Every, err = time.ParseDuration(c.Checkpoint); err != nil || o.Every < leastCheckpoint && o.Every != 0 {
		p.add("checkpoint must be a duration such as \"1h\", at least %s, or \"\" for none, not %q", leastCheckpoint, c.Checkpoint)
	}
	if slices.Contains(c.Args, "d=nodump") {
		p.add("checkpoint writes dumps, which d=nodump in args suppresses: remove one of them")
	}
	return o
}

// String is the restart as a job says it.
func (r Restart) String() string {
	switch r.Mode {
	case RestartNever:
		return "never"
	case RestartAuto:
		return "auto"
	}
	return r.Dump
}

func parseRestart(text string, p *problems) Restart {
	switch text {
	case "", "never":
		return Restart{Mode: RestartNever}
	case "auto":
		return Restart{Mode: RestartAuto}
	}
	if filepath.Base(text) != text {
		p.add("restart must be \"auto\", \"never\" or the name of a dump in work_dir such as \"d3dump01\", not %q", text)
	}
	return Restart{Mode: RestartFrom, Dump: text}
}

func quotedList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}
