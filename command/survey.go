// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// survey is the machine and its tasks at one moment, put together from the
// records, the pid files, the kernel and the run folders.
type survey struct {
	now       time.Time
	topo      *topology.Topology
	settings  state.Settings // of the plugin that took state_dir last; zero where they are not known
	opts      allocator.Options
	tasks     []*task // live and ended, the oldest first
	progress  map[*task]progress
	usable    cpuset.Set      // what the driver may give out
	reserved  cpuset.Set      // reserved by Nomad for tasks of others
	owners    map[int][]*task // by CPU: who is bound to it
	idle      map[int]*task   // by CPU: who holds it as an idle sibling
	drifters  map[int][]*task // by CPU: who may run there and should not
	blocked   cpuset.Set      // siblings of reserved CPUs: nobody's, but not to be had
	available int
	warnings  []string // of the topology
	notes     []string
}

// surveyor makes surveys, again and again for status -watch.
type surveyor struct {
	stateDir string
	sysfs    string
	given    cpuset.Set    // -usable; empty for all
	smt      allocator.SMT // "" to tell from what runs
	patience time.Duration
	readings readings
}

func (v *surveyor) survey(ctx context.Context) (*survey, error) {
	s, err := v.look(ctx)
	if err != nil {
		return nil, err
	}
	s.conclude(v)
	return s, nil
}

// look reads what there is.
func (v *surveyor) look(ctx context.Context) (*survey, error) {
	topo, warnings, err := topology.Discover(v.sysfs)
	if err != nil {
		return nil, err
	}
	s := &survey{
		now: time.Now(), topo: topo, warnings: warnings,
		owners: map[int][]*task{}, idle: map[int]*task{}, drifters: map[int][]*task{},
	}
	if s.tasks, s.settings, s.notes, err = readState(v.stateDir); err != nil {
		return nil, err
	}
	s.progress = v.readings.latest(ctx, s.tasks, v.patience)
	return s, nil
}

// conclude works out who has which CPU, and what is wrong.
func (s *survey) conclude(v *surveyor) {
	s.askNomad(cgroupsBelow(v.sysfs))
	s.manage(v.given)
	s.assign(v.smt)
	s.count()
	s.findTrouble()
}

func cgroupsBelow(sysfs string) nomadcgroup.Tree {
	return nomadcgroup.Below(filepath.Join(cmp.Or(sysfs, "/sys"), "fs/cgroup"))
}

// live returns the tasks that own cores.
func (s *survey) live() []*task {
	return slices.DeleteFunc(slices.Clone(s.tasks), func(t *task) bool { return !t.live() })
}

// assign notes who has which CPU.
func (s *survey) assign(smt allocator.SMT) {
	for _, t := range s.live() {
		for cpu := range t.cores.All() {
			s.owners[cpu] = append(s.owners[cpu], t)
		}
		outside, _ := t.drift()
		for cpu := range outside.All() {
			s.drifters[cpu] = append(s.drifters[cpu], t)
		}
	}
	if s.opts.SMT = cmp.Or(smt, allocator.SMT(s.settings.SMT)); s.opts.SMT == "" {
		s.opts.SMT = s.guessSMT()
	}
	s.opts.Layout = allocator.Layout(s.settings.Layout)
	if s.opts.SMT == allocator.SMTShare {
		return
	}
	s.blocked = s.topo.CoresOf(s.reserved).Difference(s.reserved)
	for _, t := range s.live() {
		for cpu := range s.topo.CoresOf(t.cores).All() {
			if len(s.owners[cpu]) == 0 && s.idle[cpu] == nil && !s.reserved.Contains(cpu) {
				s.idle[cpu] = t
			}
		}
	}
}

// guessSMT tells from the tasks whether siblings are given out as cores, where no
// plugin wrote its settings down. Nomad's own reservations may name siblings in
// either mode.
func (s *survey) guessSMT() allocator.SMT {
	for _, t := range s.live() {
		if t.details.Reserved {
			continue
		}
		for cpu := range t.cores.All() {
			c, _ := s.topo.CPU(cpu)
			for sibling := range c.Siblings.All() {
				if sibling != cpu && len(s.owners[sibling]) > 0 {
					return allocator.SMTShare
				}
			}
		}
	}
	return allocator.SMTIsolate
}

// askNomad reads what Nomad may use and what it has reserved for others. The
// settings say what the agent told its plugin; without them its cgroups do.
func (s *survey) askNomad(cgroups nomadcgroup.Tree) {
	parents := []string{cgroups.DefaultParent()}
	var ours, reserved, usable cpuset.Set
	for _, t := range s.live() {
		if !slices.Contains(parents, t.details.CgroupParent) {
			parents = append(parents, t.details.CgroupParent)
		}
		if t.details.Reserved {
			ours = ours.Union(t.cores)
		}
	}
	for _, parent := range parents {
		usable = usable.Union(cgroups.Usable(parent))
		reserved = reserved.Union(cgroups.Reserved(parent))
	}
	if told, err := cpuset.Parse(s.settings.NomadUsable); err == nil && !told.IsEmpty() {
		usable = told
	}
	s.usable = s.topo.Online
	if !usable.IsEmpty() {
		s.usable = usable.Intersect(s.topo.Online)
	}
	s.reserved = reserved.Difference(ours).Intersect(s.topo.Online)
}

// manage leaves of them what the driver gives out: named are those that the caller
// names, instead of the agent's configuration.
func (s *survey) manage(named cpuset.Set) {
	if named.IsEmpty() {
		named, _ = cpuset.Parse(s.settings.Usable)
	}
	s.usable = s.topo.Manageable(s.usable, named)
}

// count finds how many cores a new task could get.
func (s *survey) count() {
	taken := s.reserved
	for cpu := range s.owners {
		taken.Add(cpu)
	}
	for cpu := range s.idle {
		taken.Add(cpu)
	}
	alloc := allocator.New(s.topo, s.usable, s.opts)
	alloc.SetUnavailable(taken)
	s.available = alloc.Available()
}

// findTrouble says in words what is not as it should be.
func (s *survey) findTrouble() {
	for _, t := range s.live() {
		outside, unused := t.drift()
		switch {
		case !outside.IsEmpty():
			t.notes = append(t.notes, fmt.Sprintf("the kernel lets it run on cpu %s, its pid file says %s", t.kernel, t.cores))
		case !unused.IsEmpty():
			t.notes = append(t.notes, fmt.Sprintf("the kernel keeps it off cpu %s of its cores %s", unused, t.cores))
		}
		if lost := t.cores.Difference(s.topo.Online); !lost.IsEmpty() {
			t.notes = append(t.notes, fmt.Sprintf("its cpu %s is offline", lost))
		}
		if lost := t.cores.Intersect(s.reserved); !lost.IsEmpty() {
			t.notes = append(t.notes, fmt.Sprintf("Nomad has reserved its cpu %s for another task; a running driver moves it", lost))
		}
		if shared := s.sharedWith(t); shared != "" {
			t.notes = append(t.notes, shared)
		}
		if p := s.progress[t]; p.err != nil {
			t.notes = append(t.notes, fmt.Sprintf("its progress is not known: %v", p.err))
		}
	}
}

// sharedWith names the CPUs that a task and others are bound to.
func (s *survey) sharedWith(t *task) string {
	var shared cpuset.Set
	var others []string
	for cpu := range t.cores.All() {
		for _, other := range s.owners[cpu] {
			if other == t {
				continue
			}
			shared.Add(cpu)
			if name := other.job() + "/" + other.id.Task; !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	if shared.IsEmpty() {
		return ""
	}
	return fmt.Sprintf("shares cpu %s with %s; a running driver moves one of them", shared, strings.Join(others, ", "))
}

// owner returns who has a CPU, also as an idle sibling.
func (s *survey) owner(cpu int) (t *task, idle bool) {
	if owners := s.owners[cpu]; len(owners) > 0 {
		return owners[0], false
	}
	t = s.idle[cpu]
	return t, t != nil
}
