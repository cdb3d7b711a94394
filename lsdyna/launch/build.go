// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// Options is what a task asks of one run.
type Options struct {
	Input   string   // deck, relative to the run folder; i=
	NCPU    int      // cores in all; below 0: consistent results of SMP threads; 0 counts as 1
	Memory  string   // memory= in words, "auto", or "" for LS-DYNA's default
	Memory2 string   // memory2= in words, "auto" or "" (MPP and hybrid only)
	JobID   string   // jobid=
	Restart string   // name of a dump (d3dump01, d3full01, runrsf), "" to start from the deck
	Both    bool     // the deck stands beside Restart: a small restart, or a full one
	Args    []string // further arguments, passed on untouched

	Nodes    int  // on which the run is, each with NCPU; 0 counts as 1
	Follower bool // this is not the node that has rank 0

	RanksPerNode int // of MPP as many as NCPU; 0: of a hybrid run one a NUMA node

	ResourceMemoryBytes int64 // the run's memory limit; 0 not known
	Root                bool  // the run's user is root
	Placement           Placement

	Env     map[string]string // the task's environment
	License *license.Config   // nil leaves the licence variables of Env alone
}

// Placement is the CPUs that a run owns. CPUs are logical CPU numbers as Linux
// counts them. Both lists empty mean that the run is not pinned.
type Placement struct {
	CPUs   []int       // in the order in which ranks take them: one per physical core first, SMT siblings after
	ByNode [][]int     // the same CPUs by NUMA node, each in the same order; may be nil for one node
	Caches map[int]int // the number of each CPU's L3 cache; a CPU without one is not there
}

// Command is what has to be executed, in the run folder.
type Command struct {
	Path    string            // absolute
	Args    []string          // without the program's own name
	Env     []string          // complete, NAME=value, sorted
	Files   map[string][]byte // files that must exist in the run folder before the start, by name
	Ranks   int               // MPI ranks of all nodes, 1 for SMP
	Local   [][]int           // of a run over several nodes, which is launched by another command: the CPUs of each rank of this one
	Threads int               // threads of each rank
	Words   int64             // of a run over several nodes: that memory2= may ask for on this one; 0: not known, or said by the job
	Notes   []string          // one line each, for the operator: e.g. memory asked above the limit
	mpi     bool              // its ranks are MPI's
}

// RanksHere is the number of ranks on this node, 1 for SMP.
func (c Command) RanksHere() int {
	if len(c.Local) > 0 {
		return len(c.Local)
	}
	return c.Ranks
}

// Shape says what is executed on this node, in words: "2 ranks × 4 threads", "8 ranks",
// "8 threads".
func (c Command) Shape() string {
	ranks := c.RanksHere()
	switch {
	case !c.mpi:
		return count(c.Threads, "thread")
	case c.Threads == 1:
		return count(ranks, "rank")
	}
	return count(ranks, "rank") + " × " + count(c.Threads, "thread")
}

// Build builds the command of a run: for SMP the solver itself, for MPP
// and hybrid the launcher with the CPUs of every rank. It touches no file. An error
// is for the user and names what to change.
func Build(s lsdyna.Solver, o Options) (Command, error) {
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return Command{}, err
	}
	if err := o.validate(s); err != nil {
		return Command{}, err
	}
	plan, err := planRanks(s, o)
	if err != nil {
		return Command{}, err
	}
	mem, err := planMemory(s, o, len(plan.ranks))
	if err != nil {
		return Command{}, err
	}
	args := solverArgs(s, o, plan, mem)
	cmd := Command{Path: s.Path, Args: args, Ranks: len(plan.ranks), Threads: plan.threads, Notes: mem.notes, mpi: s.Parallel != lsdyna.SMP}
	switch {
	case o.Nodes > 1:
		cmd.Local, cmd.Ranks, cmd.Words = plan.ranks, o.Nodes*len(plan.ranks), mem.words2
	case s.Parallel != lsdyna.SMP:
		launch := launcherArgs(s, o, plan)
		cmd.Path, cmd.Files = s.MPIRun, launch.files
		cmd.Args = append(append(launch.args, s.Path), args...)
	}
	cmd.Env = environment(s, o, plan)
	return cmd, nil
}

// solverArgs is the solver's own part of the line, in the order of LS-DYNA's
// manual.
func solverArgs(s lsdyna.Solver, o Options, plan rankPlan, mem memoryPlan) []string {
	var args []string
	if o.takesInput() {
		// A simple restart takes everything from the dump; a deck beside it
		// would make it a small restart.
		args = append(args, "i="+o.Input)
	}
	if o.Restart != "" {
		args = append(args, "r="+o.Restart)
	}
	switch {
	case s.Parallel == lsdyna.SMP && o.NCPU < 0, s.Parallel == lsdyna.Hybrid && o.NCPU < 0:
		args = append(args, "ncpu=-"+strconv.Itoa(plan.threads))
	case s.Parallel == lsdyna.SMP, s.Parallel == lsdyna.Hybrid:
		args = append(args, "ncpu="+strconv.Itoa(plan.threads))
	}
	if mem.memory != "" {
		args = append(args, "memory="+mem.memory)
	}
	if mem.memory2 != "" {
		args = append(args, "memory2="+mem.memory2)
	}
	if o.JobID != "" {
		args = append(args, "jobid="+o.JobID)
	}
	return append(args, o.Args...)
}

// ours are the arguments that the driver gives itself, each with the key of the task
// configuration that sets it.
var ours = map[string]string{
	"i": "input", "ncpu": "ncpu", "memory": "memory", "memory2": "memory2", "jobid": "jobid", "r": "restart",
}

// takesInput reports whether the solver reads the deck.
func (o Options) takesInput() bool {
	return o.Restart == "" || o.Both || lsdyna.IsFullDump(o.Restart)
}

func (o Options) validate(s lsdyna.Solver) error {
	if o.takesInput() {
		if err := lsdyna.ValidatePath("input", o.Input); err != nil {
			return err
		}
	}
	if o.Restart != "" {
		if err := lsdyna.ValidatePath("restart", o.Restart); err != nil {
			return err
		}
		if !lsdyna.IsDump(o.Restart) {
			return fmt.Errorf("restart = %q is not the name of a dump; give d3dumpNN, d3fullNN or runrsf, or \"auto\" or \"never\"", o.Restart)
		}
	}
	if err := validateJobID(o.JobID); err != nil {
		return err
	}
	if o.NCPU < 0 && s.Parallel == lsdyna.MPP {
		return fmt.Errorf("ncpu = %d: a negative number asks SMP threads for consistent results, but solver %q is MPP; give a positive number", o.NCPU, s.Name)
	}
	if o.NCPU > maxNCPU || o.NCPU < -maxNCPU {
		return fmt.Errorf("ncpu = %d is more than any machine has; give at most %d", o.NCPU, maxNCPU)
	}
	for _, arg := range o.Args {
		if err := validateArg(arg); err != nil {
			return err
		}
	}
	return nil
}

// maxNCPU bounds what a job file may ask for, before anything is allocated for each
// rank. A run on leased CPUs gets no more ranks and threads than these anyhow; one
// that is not pinned may have more than the machine has CPUs.
const maxNCPU = cpuset.MaxCPUs

// validateJobID keeps jobid, the prefix of all output names, a plain name.
func validateJobID(id string) error {
	if len(id) > 80 {
		return fmt.Errorf("jobid has %d characters; give at most 80", len(id))
	}
	for i, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && (r == '_' || r == '-' || r == '.'):
		default:
			return fmt.Errorf("jobid = %q becomes part of file names; use letters, digits, _, - and . only, and begin with a letter or digit", id)
		}
	}
	return nil
}

// validateArg refuses an argument of the user that would override one of the
// driver's, and one that LS-DYNA would read as several.
func validateArg(arg string) error {
	if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("args has %q: an argument must not be empty or hold blanks or control characters; give each argument its own entry", arg)
	}
	key, _, _ := strings.Cut(strings.ToLower(arg), "=")
	key = strings.TrimLeft(key, "-")
	if ours, ok := ours[key]; ok {
		return fmt.Errorf("args has %q, which would override what the driver sets; use %s in the task configuration instead", arg, ours)
	}
	return nil
}

// HasCases reports whether arguments have the solver make several runs, one for each
// *CASE of its deck.
func HasCases(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		word, _, _ := strings.Cut(strings.ToLower(arg), "=")
		return strings.TrimLeft(word, "-") == "case"
	})
}

// inherited are the prefixes of variables that a task's environment may hold without
// having been meant for the solver: OpenMP settings disturb SMP runs, and the
// variables of an MPI launcher around this process disturb the one of the run.
var inherited = []string{"OMP_", "KMP_", "GOMP_", "OMPI_COMM_", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_hwloc_", "OMPI_MCA_rmaps_", "PRTE_MCA_", "PMIX_", "PMI_", "I_MPI_PIN", "MPI_BIND", "MPI_CPU_", "MPI_THREAD_AFFINITY", "HYDRA_"}

// environment is the complete environment of the run: the task's without what
// must not be inherited, then the driver's, the operator's and the licence's. A
// later one replaces an earlier one of the same name.
func environment(s lsdyna.Solver, o Options, plan rankPlan) []string {
	env := make(map[string]string, len(o.Env)+8)
	for name, value := range o.Env {
		if name != "" && !slices.ContainsFunc(inherited, func(p string) bool { return strings.HasPrefix(name, p) }) {
			env[name] = value
		}
	}
	env["OMP_NUM_THREADS"] = strconv.Itoa(plan.threads)
	env["OMP_DYNAMIC"] = "false"
	// The kernel keeps the run on its cores. If the runtime bound single threads
	// as well, these would stay where they are when the run is moved.
	env["OMP_PROC_BIND"] = "false"
	maps.Copy(env, s.Env)
	if o.License != nil {
		maps.Copy(env, o.License.Env())
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
