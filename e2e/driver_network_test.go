// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// On two CPUs the ranks of two machines share them: each machine leases both.
func TestNetwork_TwoNodesComputeAsOneDoes(t *testing.T) {
	all := newMachines(t, 2)
	for mpi := range launchers {
		for _, perNode := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, 2 x %d ranks", mpi, perNode), func(t *testing.T) {
				m := all.in(t)
				r := m.submit(m.job(fmt.Sprintf("%s-2x%d", mpi, perNode), mpi, perNode, ""))
				r.wait(api.AllocClientStatusComplete)
				must.StrContains(t, r.events(0), "ormal termination at the end time")
				must.StrContains(t, r.events(1), "ormal termination at the end time")
				for i, own := range r.affinities(2 * perNode) {
					must.Eq(t, cpuset.Of(i%perNode), own, must.Sprintf("rank %d", i))
				}
				must.Eq(t, m.oneNode(mpi, 2*perNode), r.runs[0].results())
				r.nothingStays()
			})
		}
		t.Run(mpi+", hybrid", func(t *testing.T) {
			m := all.in(t)
			r := m.submit(m.job(mpi+"-hybrid", mpi+"-hybrid", 2, ""))
			r.wait(api.AllocClientStatusComplete)
			for i, own := range r.affinities(2) {
				must.Eq(t, cpuset.Of(0, 1), own, must.Sprintf("rank %d", i))
			}
			must.Eq(t, m.oneNode(mpi, 2), r.runs[0].results())
			r.nothingStays()
		})
	}
}

// job is a job over two nodes with a folder of its own.
func (m *machines) job(name, solver string, ncpu int, env string) netJob {
	m.t.Helper()
	return netJob{name: name, folder: m.sites[0].deck(name, "solid_bar_impact"), solver: solver, nodes: 2, ncpu: ncpu, env: env}
}

// begin submits a job whose ranks take their time, and waits until they compute.
func (m *machines) begin(name, solver string, attempts int) *members {
	m.t.Helper()
	j := m.job(name, solver, 1, paced)
	j.attempts = attempts
	r := m.submit(j)
	r.computes()
	return r
}

func TestNetwork_WhoDoesNotComeIsNamed(t *testing.T) {
	m := newMachines(t, 2)
	t.Run("a third node", func(t *testing.T) {
		m := m.in(t)
		j := m.job("third", "openmpi", 1, "")
		j.nodes, j.timeout = 3, "20s"
		_, err := m.server.Submit(within(t), j.String(), "")
		must.NoError(t, err)
		r := m.placed(j, 2)
		r.strangers()
		r.wait(api.AllocClientStatusFailed)
		must.StrContains(t, r.events(0), "Waiting for node 2 (it has left no record in the run folder yet) of 3")
		must.StrContains(t, r.events(0), "node 2: it has left no record in the run folder yet")
		must.StrContains(t, r.events(1), "node 2: it has left no record in the run folder yet")
		must.NoError(t, m.server.StopJob(within(t), j.name, false)) // a node may be free for the third by now
		r.nothingStays()
	})
	t.Run("two jobs that have a half each", func(t *testing.T) {
		m := m.in(t)
		var halves []netJob
		for i, name := range []string{"half-a", "half-b"} {
			j := m.job(name, "openmpi", 2, "")
			j.timeout, j.config = "20s", `shortage = "retry"`
			j.groups = []netGroup{{"lead", 1, m.sites[i]}}
			_, err := m.server.Submit(within(t), j.String(), "")
			must.NoError(t, err)
			m.placed(j, 1).wait(api.AllocClientStatusRunning)
			halves = append(halves, j)
		}
		gaveUp := false
		var parts []*members
		for i, j := range halves { // each one's second node has no core for it
			j.groups = append(j.groups, netGroup{"rest", 1, m.sites[1-i]})
			rest := strings.Split(j.String(), `group "rest"`)
			_, err := m.server.Submit(within(t), rest[0]+`group "rest"`+strings.Replace(rest[1], "attempts = 0", "attempts = 100", 1), "")
			must.NoError(t, err)
			parts = append(parts, m.placed(j, 2))
		}
		for _, r := range parts {
			must.NoError(t, cluster.Poll(within(t), "the leading node's end", func() (bool, string, error) {
				alloc, _, err := m.server.API.Allocations().Info(r.runs[0].alloc, nil)
				if err != nil {
					return false, "", err
				}
				ended, seen := cluster.Terminal(alloc)
				return ended, seen, nil
			}))
			gaveUp = gaveUp || strings.Contains(r.events(0), "waited 20s for node 1: it has left no record in the run folder yet")
		}
		must.True(t, gaveUp) // the other may have had both nodes then
		for _, r := range parts {
			must.NoError(t, m.server.StopJob(within(t), r.job.name, false))
			r.nothingStays()
		}
		after := m.submit(m.job("whole-cores", "openmpi", 2, ""))
		after.wait(api.AllocClientStatusComplete)
	})
	t.Run("nodes that differ", func(t *testing.T) {
		m := m.in(t)
		j := m.job("alike", "openmpi", 1, "")
		j.groups = []netGroup{{"lead", 1, m.sites[0]}, {"rest", 1, m.sites[1]}}
		hcl := strings.Replace(j.String(), "solver        = \"openmpi\"", "solver        = \"mpich\"", 1)
		_, err := m.server.Submit(within(t), hcl, "")
		must.NoError(t, err)
		r := m.placed(j, 2)
		r.wait(api.AllocClientStatusFailed)
		for i := range r.runs {
			must.StrContains(t, r.events(i), `the nodes of a run must agree: MPI is "mpich" on node crash01 and "openmpi" on node crash02`)
		}
		r.nothingStays()
	})
}

// Whatever dies on one node ends the run on both, at once, and the next try goes on
// from the dump.
func TestNetwork_ALostPartEndsTheRun(t *testing.T) {
	all := newMachines(t, 2)
	for _, c := range []struct {
		name, solver string
		victim       func(r *members) int
		names        string // in the events of both nodes
	}{
		{"orted", "openmpi", func(r *members) int { return r.named(1, "orted").PID }, ""},
		{"a proxy", "mpich", func(r *members) int { return r.named(1, "hydra_pmi_proxy").PID }, "what the MPI launcher started there ended with SIGKILL"},
		{"the launch daemon", "openmpi", func(r *members) int { return r.runs[1].pidFile().PID }, ""},
		{"the leader", "mpich", func(r *members) int { return r.runs[0].pidFile().PID }, ""},
		{"the launcher", "openmpi", func(r *members) int { return r.named(0, "orterun").PID }, ""},
		{"a rank of the second node", "openmpi", func(r *members) int { return r.ranks(1)[0].PID }, "on node lsdyna-node-1-NODE1 exited on signal 9"},
		{"a rank of the first node", "mpich", func(r *members) int { return r.ranks(0)[0].PID }, "a rank (process PID) on node "}, // "exited on signal", or "ended with exit code 9" where Hydra ends before it says so
	} {
		t.Run(c.name, func(t *testing.T) {
			m := all.in(t)
			r := m.begin(strings.NewReplacer(" ", "-", "'", "").Replace(c.name), c.solver, 1)
			r.dump()
			pid := c.victim(r)
			must.NoError(t, unix.Kill(pid, unix.SIGKILL))
			t.Logf("killed %d", pid)
			r.wait(api.AllocClientStatusComplete)
			t.Logf("%s\n\n%s", r.events(0), r.events(1))
			must.StrContains(t, r.events(0), "Restarting from d3dump01")
			names := strings.NewReplacer("NODE1", r.runs[1].s.Config.Network.Host, "PID", fmt.Sprint(pid)).Replace(c.names)
			must.StrContains(t, r.events(0), names)
			must.StrContains(t, r.events(1), names)
			must.Eq(t, m.oneNode("openmpi", 2), r.runs[0].results())
			r.nothingStays()
		})
	}
	t.Run("the network", func(t *testing.T) {
		m := all.in(t)
		r := m.begin("network", "openmpi", 0)
		r.dump()
		network := r.runs[1].s.Config.Network
		must.NoError(t, network.Cut())
		r.runs[0].wait(api.AllocClientStatusFailed)
		must.StrContains(t, r.events(0), "A part of the run is lost: node "+r.runs[1].s.Config.Network.Host)
		must.NoError(t, cluster.Poll(within(t), "the other node's end", func() (bool, string, error) {
			left := r.processes(1)
			return len(left) == 0, fmt.Sprint(left), nil
		}))
		must.NoError(t, network.Mend())
		must.NoError(t, m.server.StopJob(within(t), r.job.name, false))
		must.NoError(t, cluster.Poll(within(t), "the end of what Nomad has replaced", func() (bool, string, error) {
			stubs, _, err := m.server.API.Jobs().Allocations(r.job.name, true, nil)
			var live []string
			for _, stub := range stubs {
				if stub.ClientStatus == api.AllocClientStatusRunning || stub.ClientStatus == api.AllocClientStatusPending {
					live = append(live, stub.ID)
				}
			}
			return len(live) == 0, fmt.Sprint(live), err
		}))
		r.nothingStays()
	})
}

// strangers come to the port of the second node, say what is not to be believed, or
// nothing, and are refused.
func (all *members) strangers() {
	t := all.m.t
	t.Helper()
	r := all.runs[1]
	r.wait(api.AllocClientStatusRunning)
	must.NoError(t, cluster.Poll(within(t), "the node's record", func() (bool, string, error) {
		found, err := filepath.Glob(filepath.Join(all.job.folder, ".lsdyna-nodes", "member-*-1.json"))
		return len(found) == 1, "", err
	}))
	address := all.record(1).Address
	silent, err := net.Dial("tcp", address)
	must.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for _, words := range []string{"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x00\x00", strings.Repeat("x", 1<<20)} {
		c, err := net.Dial("tcp", address)
		must.NoError(t, err)
		_, _ = c.Write([]byte(words))
		_, _ = io.Copy(io.Discard, c)
		must.NoError(t, c.Close())
	}
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	must.NoError(t, err)
	_, _ = c.Write([]byte(strings.Repeat("0", 32) + "not the proof"))
	_, _ = io.Copy(io.Discard, c)
	must.NoError(t, c.Close())
	must.NoError(t, cluster.Poll(within(t), "a word on strangers", func() (bool, string, error) {
		said, err := os.ReadFile(filepath.Join(all.job.folder, "stdout-node1"))
		return strings.Contains(string(said), "refused a connection to the launch port: "), string(said), err
	}))
}

// ends waits until no part of the run will be run again.
func (all *members) ends() {
	all.m.t.Helper()
	for _, r := range all.runs {
		_, err := all.m.server.WaitAlloc(within(all.m.t), r.alloc, cluster.Terminal)
		must.NoError(all.m.t, err)
	}
}

// dump has the solver write d3dump01, and waits until the driver has seen it complete.
func (all *members) dump() {
	all.m.t.Helper()
	r := all.runs[0]
	alloc := r.wait(api.AllocClientStatusRunning)
	must.NoError(all.m.t, r.s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written"))
}

// supervisor is the parent of what the driver started on a node.
func (all *members) supervisor(node int) int {
	all.m.t.Helper()
	found, err := all.runs[node].s.Supervisors()
	must.NoError(all.m.t, err)
	must.Len(all.m.t, 1, found)
	return found[0].PID
}

// Who gives a switch's signal to another node's task hears where it belongs.
func TestNetwork_ASwitchsSignalIsTheLeadersToSend(t *testing.T) {
	m := newMachines(t, 2)
	r := m.begin("signals", "mpich", 0)
	alloc := r.runs[1].wait(api.AllocClientStatusRunning)
	must.ErrorContains(t, r.runs[1].s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"), "give the signal to allocation "+r.runs[0].alloc+" on node "+r.runs[0].s.Config.Network.Host)
	r.dump()
	must.NoError(t, m.server.StopJob(within(t), r.job.name, false))
	r.ends()
	must.StrContains(t, r.events(0), "dump d3dump02 written")
	r.nothingStays()
}

// The run goes on without a supervisor, and the leading node knows how it ended.
func TestNetwork_ASupervisorIsKilled(t *testing.T) {
	m := newMachines(t, 2)
	j := m.job("supervisor", "mpich", 1, `STANDIN_PACE = "2ms"`)
	r := m.submit(j)
	r.computes()
	must.NoError(t, unix.Kill(r.supervisor(1), unix.SIGKILL))
	r.wait(api.AllocClientStatusComplete)
	must.Eq(t, m.oneNode("openmpi", 2), r.runs[0].results())
	r.nothingStays()
}

// Plugins and clients are not on the way between the ranks.
func TestNetwork_SurvivesPluginsAndClients(t *testing.T) {
	all := newMachines(t, 2)
	for _, mpi := range []string{"openmpi", "mpich"} {
		t.Run(mpi, func(t *testing.T) {
			m := all.in(t)
			j := m.job("survivor-"+mpi, mpi, 1, `STANDIN_PACE = "100ms"`)
			r := m.submit(j)
			r.computes()
			r.keepsSecrets()
			var pids []int
			for i := range r.runs {
				pids = append(pids, r.ranks(i)[0].PID, r.runs[i].pidFile().PID)
			}
			for i := range r.runs {
				s := r.runs[i].s
				must.NoError(t, s.Kill()) // first: it would launch a plugin that nobody knows after its own end
				_, err := s.KillPlugin()
				must.NoError(t, err)
				start(t, s.Agent)
				must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
				_, err = s.KillPlugin()
				must.NoError(t, err)
				r.runs[i].wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Restored core"))
			}
			for i := range r.runs {
				must.Eq(t, pids[2*i:2*i+2], []int{r.ranks(i)[0].PID, r.runs[i].pidFile().PID})
				must.Eq(t, cpuset.Of(0), cpuset.Of(r.runs[i].pidFile().Cores...))
			}
			must.NoError(t, m.server.StopJob(within(t), j.name, false))
			r.wait(api.AllocClientStatusComplete)
			must.StrContains(t, r.events(0), "dump d3dump01 written")
			r.nothingStays()
		})
	}
}

func TestNetwork_StopsWithOneDump(t *testing.T) {
	all := newMachines(t, 2)
	stops := map[string]func(m *machines, r *members){
		"the job is stopped": func(m *machines, r *members) { must.NoError(m.t, m.server.StopJob(within(m.t), r.job.name, false)) },
		"the second node is drained": func(m *machines, r *members) {
			s := r.runs[1].s
			s.drain(time.Second)
			r.runs[1].wait(api.AllocClientStatusComplete)
			s.eligible(true)
		},
		"the first node is drained": func(m *machines, r *members) {
			s := r.runs[0].s
			s.drain(time.Second)
			r.runs[0].wait(api.AllocClientStatusComplete)
			s.eligible(true)
		},
		"the second allocation is stopped": func(m *machines, r *members) {
			alloc, _, err := m.server.API.Allocations().Info(r.runs[1].alloc, nil)
			must.NoError(m.t, err)
			_, err = m.server.API.Allocations().Stop(alloc, nil)
			must.NoError(m.t, err)
		},
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			m := all.in(t)
			r := m.begin(strings.ReplaceAll(name, " ", "-"), "openmpi", 0)
			stop(m, r)
			r.ends()
			if !strings.Contains(name, "job") && !strings.Contains(name, "first") {
				must.StrContains(t, r.events(0), "Node "+r.runs[1].s.Config.Network.Host+" is to stop its part of the run: sent the sense switch sw1")
			}
			dumps, err := filepath.Glob(filepath.Join(r.job.folder, "d3dump*.0000"))
			must.NoError(t, err)
			must.Len(t, 1, dumps)
			_, err = os.Stat(filepath.Join(r.job.folder, "d3kil"))
			must.ErrorIs(t, err, os.ErrNotExist)
			_, _, err = m.server.API.Jobs().Deregister(r.job.name, true, nil) // Nomad may have replaced a part
			must.NoError(t, err)
			r.nothingStays()

			again := r.job
			again.env = ""
			after := m.submit(again)
			after.wait(api.AllocClientStatusComplete)
			must.StrContains(t, after.events(0), "Restarting from d3dump01")
			must.Eq(t, m.oneNode("openmpi", 2), after.runs[0].results())
		})
	}
}
