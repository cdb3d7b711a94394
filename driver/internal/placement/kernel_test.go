// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cgroupslib"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
)

// client makes cgroups as a Nomad client does, with Nomad's own code, below a
// parent of this process.
type client struct {
	t      *testing.T
	parent string
	all    string // CPUs
}

// newClient needs root, and is for one test at a time: the parent is a variable of
// Nomad's.
func newClient(t *testing.T) *client {
	t.Helper()
	if os.Geteuid() != 0 || cgroupslib.GetMode() == cgroupslib.OFF {
		t.Skip("needs root and cgroups")
	}
	own, err := affinity.Get(0)
	must.NoError(t, err)
	// Nomad's code looks for "nomad" in it.
	c := &client{t: t, parent: fmt.Sprintf("nomad-placement-test-%d", os.Getpid()), all: own.String()}
	if nomadcgroup.Below("/sys/fs/cgroup").V2 {
		c.parent += ".slice"
	}
	was := cgroupslib.NomadCgroupParent
	cgroupslib.NomadCgroupParent = c.parent
	t.Cleanup(func() {
		cgroupslib.NomadCgroupParent = was
		c.remove()
	})
	must.NoError(t, cgroupslib.Init(hclog.NewNullLogger(), c.all))
	c.partition("share", c.all)
	return c
}

// partition says which cores are in a partition: share for all tasks without cores
// of their own, reserve for the others.
func (c *client) partition(name, cpus string) {
	c.t.Helper()
	dir := filepath.Join("/sys/fs/cgroup/cpuset", c.parent, name)
	if nomadcgroup.Below("/sys/fs/cgroup").V2 {
		dir = filepath.Join("/sys/fs/cgroup", c.parent, name+".slice")
	}
	must.NoError(c.t, os.WriteFile(filepath.Join(dir, "cpuset.cpus"), []byte(cpus+"\n"), 0o644))
}

// remove removes the parent and what is below it.
func (c *client) remove() {
	for _, pattern := range []string{"/sys/fs/cgroup/" + c.parent, "/sys/fs/cgroup/*/" + c.parent} {
		roots, _ := filepath.Glob(pattern)
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				_ = os.Remove(dir)
			}
		}
	}
}

// task makes the cgroups of a task, and removes them after the task's processes.
func (c *client) task(cpus string) *drivers.TaskConfig {
	c.t.Helper()
	cfg := &drivers.TaskConfig{AllocID: filepath.Base(c.t.TempDir()), Name: "solve"}
	life := cgroupslib.Factory(cfg.AllocID, cfg.Name, cpus != "")
	must.NoError(c.t, life.Setup())
	path := cgroupslib.LinuxResourcesPath(cfg.AllocID, cfg.Name, cpus != "")
	cfg.Resources = &drivers.Resources{LinuxResources: &drivers.LinuxResources{CpusetCgroupPath: path, CpusetCpus: cpus}}
	if cpus != "" {
		c.partition("reserve", cpus)
	}
	c.t.Cleanup(func() {
		_ = life.Kill()
		_ = life.Teardown()
		if cpus == "" {
			return
		}
		eventually(c.t, "the cgroup can be removed", func() bool {
			err := os.Remove(path)
			return err == nil || errors.Is(err, os.ErrNotExist)
		})
	})
	return cfg
}

// start starts a run in the cgroups of a task, of sleep, or what prepare makes of it.
func (c *client) start(n *node, asked int, cpus string, prepare ...func(*run)) *run {
	c.t.Helper()
	cfg := c.task(cpus)
	groups, parent := n.CgroupsOf(cfg)
	must.Eq(c.t, c.parent, parent)
	r := n.runOf(Run{Asked: asked, Parent: parent})
	_, err := r.binder.Lease(parse(c.t, cpus))
	must.NoError(c.t, err)
	r.spec.Cgroups = groups
	for _, f := range prepare {
		f(r)
	}
	r.launch()
	r.binder.Attach(r.proc, r.pidFile())
	return r
}

func realCgroups(s *Settings) { s.CgroupRoot = "" }

func TestKernel_TheRunsOwnCpuset(t *testing.T) {
	needCPUs(t, 2)
	c, n := newClient(t), newNode(t, realCgroups)
	r := c.start(n, 2, "0-1")
	r.runsOn("0-1")
	leaf := filepath.Join(r.spec.Cgroups.LeafCpuset, "cpuset.cpus")
	content := func() string {
		data, err := os.ReadFile(leaf)
		must.NoError(t, err)
		return strings.TrimSpace(string(data))
	}
	must.Eq(t, "0-1", content())
	must.NoError(t, os.WriteFile(leaf, []byte("1\n"), 0o644))
	n.Reevaluate()
	must.Len(t, 1, r.said())
	must.StrContains(t, r.said()[0], "The task's cpuset was changed from outside to 1; set to cores 0-1 again")
	must.Eq(t, "0-1", content())
	r.runsOn("0-1")
}

// What is wrong with the share cpuset is reported at the second look, and the run
// is bound again as soon as Nomad has put it right.
func TestKernel_TheShareCpuset(t *testing.T) {
	needCPUs(t, 2)
	c, n := newClient(t), newNode(t, realCgroups)
	r := c.start(n, 1, "")
	r.runsOn("0")
	without := parse(t, c.all).Difference(cpuset.Of(0)).String()
	c.partition("share", without)
	must.NotEq(t, "0", r.threads(), must.Sprint("the kernel has moved it"))
	n.Reevaluate()
	must.SliceEmpty(t, r.said(), must.Sprint("Nomad may be about to say why"))
	n.Reevaluate()
	must.Len(t, 1, r.said())
	must.StrContains(t, r.said()[0], "Core 0 is withheld from the task, which has 0, by the cpuset of cgroup ")
	c.partition("share", c.all)
	n.Reevaluate()
	r.runsOn("0")
}

// A reservation takes the core, and the cpuset with it, away from a run that is
// moved just then.
func TestKernel_AReservationForAnotherDriversTask(t *testing.T) {
	needCPUs(t, 2)
	c, n := newClient(t), newNode(t, realCgroups)
	r := c.start(n, 1, "")
	r.runsOn("0")
	c.partition("share", parse(t, c.all).Difference(cpuset.Of(0)).String())
	n.Reevaluate()
	c.partition("reserve", "0")
	n.Reevaluate()
	r.runsOn("1")
	must.Eq(t, []string{"Moved from core 0 to core 1: reserved by Nomad for another task"}, r.said())
}

// A thread and a process inherit the affinity of the one that starts them: one that
// is born while the others are moved may have the old one, and have children with it
// before it is found. On a busy machine it may be seen only later: the next look finds
// it, and nobody is told of it.
func TestKernel_MoveWhileThreadsAreBorn(t *testing.T) {
	needCPUs(t, 2)
	for name, busy := range map[string]func(*run){
		"threads":   (*run).startingThreads,
		"processes": (*run).startingProcesses,
	} {
		t.Run(name, func(t *testing.T) {
			c, n := newClient(t), newNode(t, realCgroups)
			r := c.start(n, 1, "", busy)
			eventually(t, "it has begun", func() bool { return r.countThreads() > 1 }) // most live too shortly to be counted
			from, to := "0", "1"
			for range 30 {
				c.partition("reserve", from)
				eventually(t, "all of it has moved to "+to, func() bool {
					n.Reevaluate()
					return r.threads() == to
				})
				r.runsOn(to)
				from, to = to, from
			}
			must.Len(t, 30, r.said(), must.Sprint("nobody was found elsewhere: ", r.said()))
		})
	}
}

// In the root's cpuset the kernel gives a child the affinity that its parent had when
// it began to fork, however long that takes: the next look finds it.
func TestBinder_MoveWhileThreadsAreBorn(t *testing.T) {
	needCPUs(t, 2)
	for name, busy := range map[string]func(*run){
		"threads":   (*run).startingThreads,
		"processes": (*run).startingProcesses,
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.run(1)
			_, err := r.binder.Lease(cpuset.Set{})
			must.NoError(t, err)
			busy(r)
			r.launch()
			r.binder.Attach(r.proc, r.pidFile())
			eventually(t, "it has begun", func() bool { return r.countThreads() > 1 }) // most live too shortly to be counted
			from, to := "0", "1"
			for range rounds(10) {
				n.reserve(from)
				eventually(t, "all of it has moved to "+to, func() bool {
					n.Reevaluate()
					return r.threads() == to
				})
				from, to = to, from
			}
		})
	}
}

func (r *run) countThreads() int {
	r.t.Helper()
	tree, err := r.proc.Tree()
	must.NoError(r.t, err)
	threads, err := tree.Threads()
	must.NoError(r.t, err)
	return len(threads)
}
