// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// nodes are two clients of one server, each with its own plugin and state_dir, whose
// run folders are in one folder. A witness sees every solver of either.
type nodes struct {
	t             *testing.T
	first, second *site
	// More paths of the folder, all work roots of the second: a bind mount, a link, and
	// a mount through a file server that does not hand locks on. That one is "" without FUSE.
	bind, link, served string
	witness            *witness.Witness
	since              time.Time
	whole              string // results of a run that nobody disturbs
}

// A client that is gone is lost after 10 to 12 s. It is not by a few seconds in which a
// busy machine comes to nothing.
const lostSoon = `
server {
  min_heartbeat_ttl = "1s"
  heartbeat_grace   = "10s"
}`

func newNodes(t *testing.T) *nodes {
	t.Helper()
	requireRoot(t)
	n := &nodes{t: t}
	server := newAgent(t, cluster.Config{Role: cluster.ServerOnly, HCL: lostSoon})
	start(t, server)
	shared := worldReadable(t)
	n.bind, n.link = filepath.Join(shared, "bind"), filepath.Join(shared, "link")
	scratch := filepath.Join(shared, "runs")
	must.NoError(t, os.Mkdir(scratch, 0o755))
	must.NoError(t, os.Mkdir(n.bind, 0o755))
	must.NoError(t, os.Symlink("runs", n.link))
	must.NoError(t, unix.Mount(scratch, n.bind, "", unix.MS_BIND, "")) // before the clients have mounts of their own
	t.Cleanup(func() { must.NoError(t, unix.Unmount(n.bind, unix.MNT_DETACH)) })

	first := &site{t: t, scratch: scratch}
	first.begin("", func(c *cluster.Config) { c.Server = server })
	n.serve(filepath.Join(shared, "served"), scratch)
	n.first, n.second = first, first.join(slices.DeleteFunc([]string{n.bind, n.link, n.served}, func(root string) bool { return root == "" })...)
	var err error
	if n.witness, err = witness.New(n.isSolver); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { must.NoError(t, n.witness.Close()) })
	whole := first.submit(jobHCL{name: "whole", folder: first.deck("whole", "solid_bar_impact"), config: "ncpu = 1"})
	whole.wait(api.AllocClientStatusComplete)
	n.whole = whole.results()
	return n
}

// serve shows the folder a second time through FUSE, where there is that.
func (n *nodes) serve(path, backing string) {
	if hangfs.Missing() != "" {
		return
	}
	n.served = path
	must.NoError(n.t, os.Mkdir(n.served, 0o755))
	mount, err := hangfs.New(backing, n.served)
	must.NoError(n.t, err)
	n.t.Cleanup(func() { must.NoError(n.t, mount.Close()) })
}

// in is the same for a part of the test, at whose end it must be true that no two
// solvers were in one folder at once.
func (n *nodes) in(t *testing.T) *nodes {
	part := *n
	part.t, part.since = t, time.Now()
	for _, s := range []**site{&part.first, &part.second} {
		own := **s
		own.t = t
		*s = &own
	}
	part.first.eligible(true)
	part.second.eligible(true)
	t.Cleanup(part.oneSolverAFolder)
	return &part
}

// isSolver picks the two sites' solvers.
func (n *nodes) isSolver(p proc.Process, _ []string) bool {
	return p.Exe == n.first.solver || p.Exe == n.second.solver
}

// oneSolverAFolder fails the test where two solvers were ever in one folder at once
// since this part began, by the kernel's account. No two folders have the same name
// here: a folder that is mounted twice is not one to the kernel.
func (n *nodes) oneSolverAFolder() {
	lives, gaps, err := n.witness.Lives()
	must.NoError(n.t, err)
	must.Zero(n.t, gaps, must.Sprint("the kernel had to drop messages of execs and ends"))
	must.Positive(n.t, len(lives))
	for i := range lives {
		for j := range lives[:i] {
			a, b := &lives[j], &lives[i]
			if filepath.Base(a.Cwd) == filepath.Base(b.Cwd) && b.Exec.After(n.since) && a.Together(b) {
				n.t.Errorf("two solvers in one run folder at once:\n%s\n%s", describeLife(a), describeLife(b))
			}
		}
	}
}

func describeLife(l *witness.Life) string {
	const clock = "15:04:05.000"
	end := "lives"
	if l.Ended {
		end = l.Exit.Format(clock)
	}
	i := slices.IndexFunc(l.Env, func(e string) bool { return strings.HasPrefix(e, "NOMAD_ALLOC_ID=") })
	return fmt.Sprintf("pid %d, %s to %s, %s", l.PID, l.Exec.Format(clock), end, l.Env[max(i, 0)])
}

// on pins a job to this client.
func (s *site) on(j jobHCL) jobHCL {
	j.task += fmt.Sprintf("constraint {\n attribute = \"${node.unique.id}\"\n value = %q\n }\n", s.NodeID())
	return j
}

// persistent has Nomad start the job's task again and again, as long as it has to wait.
func persistent(hcl string) string {
	return strings.Replace(hcl, `attempts = 0
      mode     = "fail"`, `attempts = 100
      interval = "1h"
      delay    = "1s"
      mode     = "fail"`, 1)
}

// asks submits a job that is to wait for its folder.
func (s *site) asks(j jobHCL) *run {
	s.t.Helper()
	alloc, err := s.Run(within(s.t), persistent(j.String()))
	must.NoError(s.t, err)
	return &run{s: s, job: j.name, folder: j.folder, alloc: alloc}
}

// waitsFor waits until the task tells that it waits for its folder, and who is there.
func (r *run) waitsFor(owner *run) {
	r.s.t.Helper()
	texts := []string{
		"Waiting for the run folder", "task lsdyna of job " + owner.job + " ", "(allocation " + owner.alloc[:8] + ")",
		"runs there on node " + owner.s.nodeName(), " since ",
	}
	if owner.s.PluginPath() == r.s.PluginPath() { // which knows without looking into the folder
		texts = []string{"task lsdyna of job " + owner.job + " (allocation " + owner.alloc[:8] + ") runs there; "}
	}
	_, err := r.s.WaitAlloc(within(r.s.t), r.alloc, func(alloc *api.Allocation) (bool, string) {
		return slices.ContainsFunc(cluster.Events(alloc, "lsdyna"), func(e string) bool { return containsAll([]string{e}, texts...) }), cluster.DescribeAlloc(alloc)
	})
	must.NoError(r.s.t, err)
}

func (s *site) nodeName() string {
	s.t.Helper()
	node, err := s.Node()
	must.NoError(s.t, err)
	return node.Name
}

// livesAlone asserts that the run's solver is the only one in its folder.
func (n *nodes) livesAlone(r *run) {
	n.t.Helper()
	there, err := proc.Select(func(p proc.Process) bool {
		return n.isSolver(p, nil) && filepath.Base(p.Cwd) == filepath.Base(r.folder)
	})
	must.NoError(n.t, err)
	must.Len(n.t, 1, there)
	must.True(n.t, proc.EnvMentions(there[0].PID, "NOMAD_ALLOC_ID="+r.alloc))
}

// goesOnAfter waits for the run's end: it has gone on from the dump of the one before
// it, and the two are as good as one run that nobody disturbed.
func (n *nodes) goesOnAfter(r *run) {
	n.t.Helper()
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump01"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Eq(n.t, n.whole, r.results())
}
