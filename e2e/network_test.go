// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// machines are Nomad clients that have each a network namespace, a host name and an
// address of its own, as machines do, with one server, and run folders that all share.
// Nothing resolves their names. The bridge between them is in the test's own network
// namespace, in which `make e2e-net` runs it.
type machines struct {
	t       *testing.T
	server  *cluster.Agent
	sites   []*site
	scratch string
	whole   map[string]string // results of one node, by the number of ranks
}

var bridge = cluster.Bridge{Name: "lsd-br0", Network: netip.MustParsePrefix("10.77.0.0/24")}

// requireOwnNetwork skips a test that is not in a network namespace of its own.
func requireOwnNetwork(t *testing.T) {
	t.Helper()
	requireRoot(t)
	if os.Getenv("LSDYNA_E2E_NET") == "" {
		t.Skip("needs a network namespace of its own: make e2e-net")
	}
	twoCores(t)
}

// newMachines makes clients 10.77.0.1, 10.77.0.2, ….
func newMachines(t *testing.T, n int) *machines {
	t.Helper()
	requireOwnNetwork(t)
	must.NoError(t, bridge.Make())
	t.Cleanup(func() { must.NoError(t, bridge.Remove()) })
	m := &machines{t: t, scratch: worldReadable(t), whole: map[string]string{}}
	m.server = newAgent(t, cluster.Config{Role: cluster.ServerOnly, HCL: lostSoon, Address: bridge.Address()})
	start(t, m.server)
	mpp, hybrid := m.solver("standin_mpp_d_R14"), m.solver("standin_hyb_d_R14")
	for i := 1; i <= n; i++ {
		s := &site{t: t, scratch: m.scratch, solver: mpp}
		s.Agent = newAgent(t, cluster.Config{
			Role: cluster.ClientOnly, Server: m.server, Plugin: binary(t, "nomad-driver-lsdyna"),
			Network: bridge.Machine(i),
		})
		s.Config.PluginConfig = m.pluginConfig(s, mpp, hybrid)
		m.sites = append(m.sites, s)
	}
	for _, s := range m.sites {
		start(t, s.Agent)
		must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
	}
	return m
}

// licenceServer is one that nobody asks: the stand-in does not.
const licenceServer = "31010@licence-of-network.test"

// solver copies the stand-in to where all machines have it.
func (m *machines) solver(name string) string {
	path := filepath.Join(m.scratch, name)
	data, err := os.ReadFile(binary(m.t, "lsdyna-standin"))
	must.NoError(m.t, err)
	must.NoError(m.t, os.WriteFile(path, data, 0o755))
	return path
}

// launchers are the solvers' names, and what starts their ranks.
var launchers = map[string]string{"openmpi": "mpirun.openmpi", "mpich": "mpiexec.hydra"}

func (m *machines) pluginConfig(s *site, mpp, hybrid string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "state_dir = %q\nwork_roots = [%q]\nlicense {\n server = %q\n}\n", s.StateDir(), m.scratch, licenceServer)
	for mpi, name := range launchers {
		path, err := exec.LookPath(name)
		must.NoError(m.t, err, must.Sprint("install openmpi-bin and mpich"))
		for kind, solver := range map[string]string{"": mpp, "-hybrid": hybrid} {
			parallel := "mpp"
			if kind != "" {
				parallel = "hybrid"
			}
			fmt.Fprintf(&b, "solver %q {\n path = %q\n parallel = %q\n mpi = %q\n mpirun = %q\n}\n", mpi+kind, solver, parallel, mpi, path)
		}
	}
	return b.String()
}

// netJob is a job over several nodes.
type netJob struct {
	name, folder, solver string
	nodes, ncpu          int
	config, env          string
	attempts             int        // restarts
	timeout              string     // start_timeout, "60s" when empty
	groups               []netGroup // nil for one of all nodes
}

func (j netJob) String() string {
	if j.groups == nil {
		j.groups = []netGroup{{name: "g", count: j.nodes}}
	}
	if j.timeout == "" {
		j.timeout = "60s"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "job %q {\n type = \"batch\"\n", j.name)
	first := 0
	for _, g := range j.groups {
		b.WriteString(j.group(g, first))
		first += g.count
	}
	b.WriteString("}\n")
	return b.String()
}

// netGroup is some of the nodes, on one site where it is not nil.
type netGroup struct {
	name  string
	count int
	site  *site
}

func (j netJob) group(g netGroup, first int) string {
	where := "constraint {\n distinct_hosts = true\n }"
	if g.site != nil {
		where = fmt.Sprintf("constraint {\n attribute = \"${node.unique.id}\"\n value = %q\n }", g.site.NodeID())
	}
	config := j.config
	if first > 0 {
		config += fmt.Sprintf("\nfirst_node = %d", first)
	}
	return fmt.Sprintf(`
  group %q {
    count = %d
    %s
    network {
      port "launch" {}
    }
    restart {
      attempts = %d
      interval = "1h"
      delay    = "1s"
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "lsdyna" {
      driver = "lsdyna"
      config {
        solver        = %q
        nodes         = %d
        ncpu          = %d
        work_dir      = %q
        input         = "main.k"
        start_timeout = %q
        %s
      }
      env {
        %s
      }
      kill_timeout = "60s"
      resources {
        cpu    = 100
        memory = 300
      }
    }
  }
`, g.name, g.count, where, j.attempts, j.solver, j.nodes, j.ncpu, j.folder, j.timeout, config, j.env)
}

// in is the same for a part of the test.
func (m *machines) in(t *testing.T) *machines {
	part := *m
	part.t, part.sites = t, nil
	for _, s := range m.sites {
		own := *s
		own.t = t
		part.sites = append(part.sites, &own)
	}
	return &part
}

// members are a run's allocations, by the number of the node.
type members struct {
	m    *machines
	job  netJob
	runs []*run
}

// submit submits a job and waits until it is placed.
func (m *machines) submit(j netJob) *members {
	m.t.Helper()
	_, err := m.server.Submit(within(m.t), j.String(), "")
	must.NoError(m.t, err)
	return m.placed(j, j.nodes)
}

// placed finds the newest n allocations of a job.
func (m *machines) placed(j netJob, n int) *members {
	m.t.Helper()
	stubs, err := m.server.WaitPlaced(within(m.t), j.name, n)
	must.NoError(m.t, err)
	all := &members{m: m, job: j}
	for _, stub := range stubs[:n] {
		i := slices.IndexFunc(m.sites, func(s *site) bool { return s.NodeID() == stub.NodeID })
		must.NonNegative(m.t, i)
		all.runs = append(all.runs, &run{s: m.sites[i], job: j.name, folder: j.folder, alloc: stub.ID})
	}
	slices.SortFunc(all.runs, func(a, b *run) int { return strings.Compare(all.index(a), all.index(b)) })
	return all
}

// index is what Nomad has in brackets behind an allocation's name.
func (all *members) index(r *run) string {
	alloc, _, err := all.m.server.API.Allocations().Info(r.alloc, nil)
	must.NoError(all.m.t, err)
	return strings.NewReplacer("lead", "0", "rest", "1").Replace(alloc.Name) // groups in the order of their nodes
}

// wait waits for all allocations to reach a status.
func (all *members) wait(status string) {
	all.m.t.Helper()
	for _, r := range all.runs {
		r.wait(status)
	}
}

// events are those of one node.
func (all *members) events(node int) string {
	all.m.t.Helper()
	alloc, _, err := all.m.server.API.Allocations().Info(all.runs[node].alloc, nil)
	must.NoError(all.m.t, err)
	return strings.Join(cluster.Events(alloc, "lsdyna"), "\n")
}

// computes waits until the ranks compute.
func (all *members) computes() {
	all.m.t.Helper()
	must.NoError(all.m.t, cluster.Poll(within(all.m.t), "ranks that compute", func() (bool, string, error) {
		data, _ := os.ReadFile(filepath.Join(all.job.folder, "stdout"))
		var seen []string
		for i := range all.runs {
			seen = append(seen, all.events(i))
			if len(all.ranks(i)) == 0 {
				return false, strings.Join(seen, "\n"), nil
			}
		}
		return strings.Contains(string(data), " dt "), strings.Join(seen, "\n") + "\n" + string(data), nil
	}))
}

// processes are those of a node's machine that are in the run folder.
func (all *members) processes(node int) []proc.Process {
	all.m.t.Helper()
	found, err := all.runs[node].s.Processes()
	must.NoError(all.m.t, err)
	return slices.DeleteFunc(found, func(p proc.Process) bool { return !p.Alive() || p.Cwd != all.job.folder })
}

// ranks are a node's.
func (all *members) ranks(node int) (ranks []proc.Process) {
	for _, p := range all.processes(node) {
		if strings.HasPrefix(filepath.Base(p.Exe), "standin_") {
			ranks = append(ranks, p)
		}
	}
	return ranks
}

// named returns a node's one process whose program has the name.
func (all *members) named(node int, name string) proc.Process {
	all.m.t.Helper()
	for _, p := range all.processes(node) {
		if strings.HasPrefix(filepath.Base(p.Exe), name) {
			return p
		}
	}
	all.m.t.Fatalf("no %s on node %d among %v", name, node, all.processes(node))
	return proc.Process{}
}

// record is what a node tells the others.
func (all *members) record(node int) (r struct{ Address, Secret string }) {
	all.m.t.Helper()
	paths, err := filepath.Glob(filepath.Join(all.job.folder, ".lsdyna-nodes", fmt.Sprintf("member-*-%d.json", node)))
	must.NoError(all.m.t, err)
	must.Len(all.m.t, 1, paths)
	data, err := os.ReadFile(paths[0])
	must.NoError(all.m.t, err)
	must.NoError(all.m.t, json.Unmarshal(data, &r))
	return r
}

// keepsSecrets asserts that no process has the run's secret or the licence server in its
// arguments, none the secret in its environment, and all ranks the licence server in
// theirs.
func (all *members) keepsSecrets() {
	all.m.t.Helper()
	secret := all.record(1).Secret
	must.Positive(all.m.t, len(secret))
	for node := range all.runs {
		there := all.processes(node)
		must.Positive(all.m.t, len(there))
		for _, p := range there {
			args := strings.Join(p.Args, " ")
			must.StrNotContains(all.m.t, args, secret)
			must.StrNotContains(all.m.t, args, licenceServer)
			must.False(all.m.t, proc.EnvMentions(p.PID, secret))
			switch name := filepath.Base(p.Exe); {
			case strings.HasPrefix(name, "standin_"):
				must.True(all.m.t, proc.EnvMentions(p.PID, licenceServer), must.Sprint(p))
			case strings.HasPrefix(name, "mpiexec"): // it sends its environment to the other nodes
				must.False(all.m.t, proc.EnvMentions(p.PID, licenceServer), must.Sprint(p))
			}
		}
	}
}

// nothingStays waits until no process is left on any node, no core is leased, and what
// the nodes had written for each other is gone.
func (all *members) nothingStays() {
	all.m.t.Helper()
	must.NoError(all.m.t, cluster.Poll(within(all.m.t), "nothing of the run to be left", func() (bool, string, error) {
		for i, r := range all.runs {
			if left := all.processes(i); len(left) > 0 {
				return false, fmt.Sprintf("node %d: %v", i, left), nil
			}
			if out := r.s.status(); strings.Contains(out, r.alloc) {
				return false, out, nil
			}
		}
		secrets, err := filepath.Glob(filepath.Join(all.job.folder, ".lsdyna-nodes", "member-*"))
		return len(secrets) == 0, fmt.Sprint(secrets), err
	}))
}

// status is what the machine's operator sees of the runs there.
func (s *site) status() string {
	s.t.Helper()
	out, err := exec.CommandContext(within(s.t), s.PluginPath(), "status", "-json", "-state-dir", s.StateDir()).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + string(failed.Stderr)
	}
	must.NoError(s.t, err)
	return string(out)
}

// affinities are the CPUs of each rank, by the ranks' own account.
func (all *members) affinities(ranks int) (own []cpuset.Set) {
	all.m.t.Helper()
	for rank := range ranks {
		data, err := os.ReadFile(filepath.Join(all.job.folder, fmt.Sprintf("standin-affinity.%04d", rank)))
		must.NoError(all.m.t, err)
		first, _, _ := strings.Cut(string(data), "\n")
		_, list, _ := strings.Cut(first, "cpus=")
		cpus, err := cpuset.Parse(strings.TrimSpace(list))
		must.NoError(all.m.t, err)
		own = append(own, cpus)
	}
	return own
}

// oneNode is the result of the same ranks on one node.
func (m *machines) oneNode(solver string, ranks int) string {
	m.t.Helper()
	key := fmt.Sprintf("%s-%d", solver, ranks)
	if m.whole[key] == "" {
		j := netJob{name: "whole-" + key, folder: m.sites[0].deck("whole-"+key, "solid_bar_impact"), solver: solver, nodes: 1, ncpu: ranks, config: `shortage = "unpinned"`}
		all := m.submit(j)
		all.wait(api.AllocClientStatusComplete)
		m.whole[key] = all.runs[0].results()
	}
	return m.whole[key]
}
