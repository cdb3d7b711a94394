// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// CheckNamed reports why a run cannot begin with the dump that its job names, before it
// waits for cores. What only Choose can tell it leaves to that one: whether the run that
// began there once goes on from its own dumps.
func CheckNamed(f *rundir.Folder, dump string, s lsdyna.Solver) error {
	if r, err := f.ReadRecord(); err == nil && r.From != nil && r.From.Dump == dump {
		return nil
	}
	return checkDump(f, dump, s, 0)
}

// checkDump reports why there can be no restart from a dump, by the name that r= takes.
// Nomad's restart policy does not try it again: nothing changes by that. ranks is 0 where
// their number is not known.
func checkDump(f *rundir.Folder, name string, s lsdyna.Solver, ranks int) error {
	found, err := f.AllDumps()
	if err != nil {
		if rundir.Unavailable(err) {
			return unsure(err)
		}
		return fmt.Errorf("restart: %w", err)
	}
	d, there := found[name]
	of := d.RanksOf()
	switch {
	case !lsdyna.IsDump(name):
		return fmt.Errorf("restart = %q is neither \"auto\" nor \"never\" nor the name of a dump, such as d3dump01; %s", name, others(f, found))
	case !there:
		return fmt.Errorf("restart: there is no %s in the run folder %s; %s", name, f.Path(), others(f, found))
	case !d.Whole(0):
		return fmt.Errorf("restart: %s in the run folder %s is not whole: files there: %d, and each rank (%d) needs one with content; %s",
			name, f.Path(), len(d.Files), max(ranks, of), others(f, found))
	case of > 0 && s.Parallel == lsdyna.SMP:
		return fmt.Errorf("restart: %s in the run folder %s is of an MPP run, with a file for each of its ranks (%d), and %s is SMP: use the solver that wrote it; %s",
			name, f.Path(), of, called(s), others(f, found))
	case of > 0 && ranks > 0 && of != ranks:
		return fmt.Errorf("restart: %s in the run folder %s is of a run with %d ranks, and this one has %d: a restart needs as many as wrote the dump; %s",
			name, f.Path(), of, ranks, others(f, found))
	}
	return nil
}

func called(s lsdyna.Solver) string {
	if s.Name == "" {
		return "command"
	}
	return fmt.Sprintf("solver %q", s.Name)
}

// others names the dumps in a folder for who named one that will not do, the newest first.
func others(f *rundir.Folder, found map[string]rundir.DumpFiles) string {
	dumps := slices.Collect(maps.Values(found))
	if len(dumps) == 0 {
		return fmt.Sprintf("there are no dumps in %s: is work_dir the folder of that run? restart = \"auto\" begins with the deck", f.Path())
	}
	slices.SortFunc(dumps, func(a, b rundir.DumpFiles) int {
		return cmp.Or(b.ModTime.Compare(a.ModTime), cmp.Compare(b.Name, a.Name))
	})
	const few = 10
	var names []string
	for _, d := range dumps[:min(len(dumps), few)] {
		names = append(names, d.Name)
	}
	more := ""
	if n := len(dumps) - few; n > 0 {
		more = fmt.Sprintf(" and %d older ones", n)
	}
	return fmt.Sprintf("dumps there, the newest first: %s%s. Name one of them, or set restart to \"auto\" or \"never\"", strings.Join(names, ", "), more)
}
