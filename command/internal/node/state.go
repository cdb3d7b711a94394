// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// State is the machine and its tasks at one moment: what was read, and what follows
// from it.
type State struct {
	*Facts
	Options   allocator.Options // how cores are given out
	Usable    cpuset.Set        // what the driver may give out
	Reserved  cpuset.Set        // reserved by Nomad for tasks of others
	Available int               // cores that a new task could get
	cpus      map[int]*Use
}

// Use is who has a CPU.
type Use struct {
	Bound    []*Task // bound to it; more than one is wrong
	Idle     *Task   // holds it as an idle sibling
	Drifting []*Task // may run there and should not
	Blocked  bool    // sibling of a reserved CPU: nobody's, but not to be had
	Taken    bool    // by a task that is not told
}

// Owner returns who has the CPU, also as an idle sibling; nil for nobody.
func (u Use) Owner() (t *Task, idle bool) {
	if len(u.Bound) > 0 {
		return u.Bound[0], false
	}
	return u.Idle, u.Idle != nil
}

// NewState finds out who has which CPU, and what is not as it should be.
func NewState(f *Facts, o Overrides) *State {
	s := &State{Facts: f, cpus: map[int]*Use{}}
	s.findReserved()
	s.findUsable(o.Usable)
	s.assignCPUs(o.SMT)
	s.Options.Layout = cmp.Or(o.Layout, allocator.Layout(s.Settings.Layout), allocator.LayoutPack)
	s.Available = s.allocator().Available()
	s.addNotes()
	return s
}

// Use returns who has a CPU.
func (s *State) Use(cpu int) Use {
	if u := s.cpus[cpu]; u != nil {
		return *u
	}
	return Use{}
}

// use returns the entry of a CPU.
func (s *State) use(cpu int) *Use {
	if s.cpus[cpu] == nil {
		s.cpus[cpu] = &Use{}
	}
	return s.cpus[cpu]
}

// Taken are the CPUs that tasks of the driver have, idle siblings among them.
func (s *State) Taken() cpuset.Set {
	var taken cpuset.Set
	for cpu, u := range s.cpus {
		if t, _ := u.Owner(); t != nil || u.Taken {
			taken.Add(cpu)
		}
	}
	return taken
}

// Plan returns what a new task of n cores would get if the busy CPUs were taken, too.
func (s *State) Plan(n int, busy cpuset.Set) (allocator.Lease, error) {
	return s.allocator().Plan(n, busy)
}

// allocator is the driver's, of this moment.
func (s *State) allocator() *allocator.Allocator {
	alloc := allocator.New(s.Topology, s.Usable, s.Options)
	alloc.SetUnavailable(s.Reserved.Union(s.Taken()))
	return alloc
}

// assignCPUs finds who has which CPU.
func (s *State) assignCPUs(smt allocator.SMT) {
	for _, t := range s.Live() {
		for cpu := range t.Cores.All() {
			s.use(cpu).Bound = append(s.use(cpu).Bound, t)
		}
		outside, _ := t.Drift()
		for cpu := range outside.All() {
			s.use(cpu).Drifting = append(s.use(cpu).Drifting, t)
		}
	}
	if s.Options.SMT = cmp.Or(smt, allocator.SMT(s.Settings.SMT)); s.Options.SMT == "" {
		s.Options.SMT = s.inferSMT()
	}
	s.assignOthers()
	if s.Options.SMT == allocator.SMTShare {
		return
	}
	for cpu := range s.Topology.CoresOf(s.Reserved).Difference(s.Reserved).All() {
		s.use(cpu).Blocked = true
	}
	for _, t := range s.Live() {
		for cpu := range s.Topology.CoresOf(t.Cores).All() {
			if u := s.use(cpu); len(u.Bound) == 0 && u.Idle == nil && !s.Reserved.Contains(cpu) {
				u.Idle = t
			}
		}
	}
}

// assignOthers marks the CPUs of tasks that are not told.
func (s *State) assignOthers() {
	if s.Others == nil {
		return
	}
	for cpu := range s.Others.CPUs.All() {
		if len(s.use(cpu).Bound) == 0 {
			s.use(cpu).Taken = true
		}
	}
	if s.Options.SMT == allocator.SMTShare {
		return
	}
	for cpu := range s.Topology.CoresOf(s.Others.CPUs).Difference(s.Others.CPUs).All() {
		s.use(cpu).Blocked = true
	}
}

// inferSMT finds from the tasks whether siblings are given out as cores, where no
// plugin wrote its settings down. Nomad's own reservations may name siblings in
// either mode.
func (s *State) inferSMT() allocator.SMT {
	for _, t := range s.Live() {
		if t.Details.Reserved {
			continue
		}
		for cpu := range t.Cores.All() {
			c, _ := s.Topology.CPU(cpu)
			for sibling := range c.Siblings.All() {
				if sibling != cpu && len(s.Use(sibling).Bound) > 0 {
					return allocator.SMTShare
				}
			}
		}
	}
	return allocator.SMTIsolate
}

// findUsable finds what the driver gives out: named are the CPUs that the caller
// names, instead of the agent's configuration. What Nomad told its plugin comes
// before what its cgroups say.
func (s *State) findUsable(named cpuset.Set) {
	usable := s.NomadUsable
	if set, err := cpuset.Parse(s.Settings.NomadUsable); err == nil && !set.IsEmpty() {
		usable = set
	}
	if usable.IsEmpty() {
		usable = s.Topology.Online
	}
	if named.IsEmpty() {
		named, _ = cpuset.Parse(s.Settings.Usable)
	}
	s.Usable = s.Topology.Manageable(usable, named)
}

// findReserved finds what Nomad has reserved for tasks of others.
func (s *State) findReserved() {
	var ours cpuset.Set
	for _, t := range s.Live() {
		if t.Details.Reserved {
			ours = ours.Union(t.Cores)
		}
	}
	s.Reserved = s.NomadReserved.Difference(ours).Intersect(s.Topology.Online)
}

// addNotes says what is not as it should be.
func (s *State) addNotes() {
	for _, t := range s.Live() {
		outside, unused := t.Drift()
		switch {
		case !outside.IsEmpty():
			t.Notes = append(t.Notes, fmt.Sprintf("the kernel lets it run on cpu %s, its pid file says %s", t.Kernel, t.Cores))
		case !unused.IsEmpty():
			t.Notes = append(t.Notes, fmt.Sprintf("the kernel keeps it off cpu %s of its cores %s", unused, t.Cores))
		}
		if offline := t.Cores.Difference(s.Topology.Online); !offline.IsEmpty() {
			t.Notes = append(t.Notes, fmt.Sprintf("its cpu %s is offline", offline))
		}
		if reserved := t.Cores.Intersect(s.Reserved); !reserved.IsEmpty() {
			t.Notes = append(t.Notes, fmt.Sprintf("Nomad has reserved its cpu %s for another task; a running driver moves it", reserved))
		}
		if shared := s.sharedWith(t); shared != "" {
			t.Notes = append(t.Notes, shared)
		}
		switch p := &t.Progress; {
		case p.Err != nil && p.Known:
			t.Notes = append(t.Notes, fmt.Sprintf("its progress is not the newest: %v", p.Err))
		case p.Err != nil:
			t.Notes = append(t.Notes, fmt.Sprintf("its progress is not known: %v", p.Err))
		}
	}
}

// sharedWith names the CPUs that a task and others are bound to.
func (s *State) sharedWith(t *Task) string {
	var shared cpuset.Set
	var others []string
	for cpu := range t.Cores.All() {
		for _, other := range s.Use(cpu).Bound {
			if other == t {
				continue
			}
			shared.Add(cpu)
			if name := other.Job() + "/" + other.ID.Task; !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	if shared.IsEmpty() {
		return ""
	}
	return fmt.Sprintf("shares cpu %s with %s; a running driver moves one of them", shared, strings.Join(others, ", "))
}
