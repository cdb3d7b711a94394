// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package node reads what runs on this machine under the driver, without a plugin:
// the records below state_dir, the kernel, Nomad's cgroups and the run folders. It
// changes nothing.
//
// What lies in a run folder belongs to a task's user: it is opened by package
// rundir's rules and never decides who owns a core.
package node

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Facts are what was read at one moment.
type Facts struct {
	Now           time.Time
	Topology      *topology.Topology
	Settings      state.Settings // of the plugin that took state_dir last; zero where they are not known
	Tasks         []*Task        // live and ended, the oldest first
	NomadUsable   cpuset.Set     // what Nomad may use, as its cgroups say; empty: not known
	NomadReserved cpuset.Set     // what Nomad has reserved for tasks of any driver
	Others        *Others        // of tasks that are not told; nil: all are
	Warnings      []string       // of the topology
	Notes         []string
}

// Live returns the tasks that own cores.
func (f *Facts) Live() []*Task {
	return slices.DeleteFunc(slices.Clone(f.Tasks), func(t *Task) bool { return !t.Live() })
}

// Overrides are what the caller knows better than the plugin's settings say.
type Overrides struct {
	Usable cpuset.Set       // empty: as the settings say
	SMT    allocator.SMT    // "": as the settings say
	Layout allocator.Layout // "": as the settings say
}

// Reader reads the machine's state, again and again for status -watch.
type Reader struct {
	StateDir  string
	StatusDir string // asked where state_dir is another user's; "": not
	Sysfs     string // stands for /sys, "" is /sys
	Overrides Overrides
	Timeout   time.Duration // for run folders
	CoresOnly bool          // of tasks their cores are asked: no run folder is opened

	folders followers
}

// State reads the machine's state.
func (r *Reader) State(ctx context.Context) (*State, error) {
	facts, err := r.Facts(ctx)
	if err != nil {
		return nil, err
	}
	return NewState(facts, r.Overrides), nil
}

// Facts reads what there is.
func (r *Reader) Facts(ctx context.Context) (*Facts, error) {
	topo, warnings, err := topology.Discover(r.Sysfs)
	if err != nil {
		return nil, err
	}
	f := &Facts{Now: time.Now(), Topology: topo, Warnings: warnings}
	f.Tasks, f.Settings, f.Notes, err = readRecords(r.StateDir)
	told := r.isTold(err)
	if told {
		err = f.readTold(r.StatusDir, err)
	}
	if err != nil {
		return nil, err
	}
	f.readReservations(nomadcgroup.Below(filepath.Join(cmp.Or(r.Sysfs, "/sys"), "fs/cgroup")))
	if told || r.CoresOnly {
		return f, nil // the plugin has told of the progress, too
	}
	if r.folders == nil {
		r.folders = followers{}
	}
	r.folders.read(ctx, f.Live(), r.Timeout)
	return f, nil
}

// isTold reports whether what there is comes from status_dir: where state_dir is another
// user's, or is not there and this one could not read the agent's.
func (r *Reader) isTold(err error) bool {
	if r.StatusDir == "" {
		return false
	}
	var closed *ClosedError
	var none *NoStateError
	return errors.As(err, &closed) || errors.As(err, &none) && none.Missing && os.Geteuid() != 0
}

// Close closes the run folders.
func (r *Reader) Close() { r.folders.forget(nil) }

// readReservations reads what Nomad may use and what it has reserved: of the cgroup
// parent that is the default, and of those that tasks run below.
func (f *Facts) readReservations(cgroups nomadcgroup.Tree) {
	parents := []string{cgroups.DefaultParent()}
	for _, t := range f.Live() {
		if !slices.Contains(parents, t.Details.CgroupParent) {
			parents = append(parents, t.Details.CgroupParent)
		}
	}
	for _, parent := range parents {
		f.NomadUsable = f.NomadUsable.Union(cgroups.Usable(parent))
		f.NomadReserved = f.NomadReserved.Union(cgroups.Reserved(parent))
	}
}
