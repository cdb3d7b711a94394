// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around/aroundtest"
)

// What the leading node of a run writes.
const (
	nodesLine    = output.NodesLine + "[0123456789abcdef] "
	nodesWaiting = nodesLine + output.NodesWaiting + "node 1 (it has left no record in the run folder yet) of 2\n"
	nodesThere   = nodesLine + output.NodesThere + "crash01 with 2 ranks, crash02 with 2 ranks\n"
	nodesStop    = nodesLine + "node crash02 is to stop its part of the run: sent the sense switch sw1\n"
)

// nodesOf is a state_dir with the two tasks of a run over two nodes, as if both were on
// this one, and one of a run of its own.
func nodesOf(t *testing.T, stdout string) (dir, folder string) {
	t.Helper()
	dir = nodetest.StateDir(t)
	folder = nodetest.Task{Job: "crash", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: 3 * time.Hour, Stdout: stdout, Nodes: 2}.Make(t, dir)
	nodetest.Task{Job: "crash", Alloc: allocB, Name: "solve", Cores: []int{4, 5}, Since: 2 * time.Hour, Folder: folder, Nodes: 2, NodeIndex: 1}.Make(t, dir)
	nodetest.Task{Job: "alone", Alloc: "99", Name: "solve", Cores: []int{6}, Since: time.Hour}.Make(t, dir)
	return dir, folder
}

func TestStatus_tellsWhichPartOfARunATaskHas(t *testing.T) {
	sysfs := twoSockets.Sysfs(t)
	for name, c := range map[string]struct{ stdout, want, activity string }{
		"nothing known": {"", `
A  node 0 of 2, which leads
B  node 1 of 2; node 0 leads: waiting for it
`, "starting"},
		"waits": {nodesWaiting, `
A  node 0 of 2, which leads: waiting for node 1 (it has left no record in the run folder yet) of 2
B  node 1 of 2; node 0 leads: waiting for node 1 (it has left no record in the run folder yet) of 2
`, "waiting for nodes"},
		"runs": {nodesThere + nodetest.Solving(5, 1e-2), `
A  node 0 of 2, which leads: the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks
B  node 1 of 2; node 0 leads: the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks
`, "40 %"},
		"is stopped": {nodesThere + nodetest.Solving(5, 1e-2) + nodesStop, `
A  node 0 of 2, which leads: the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks; node crash02 is to stop its part of the run: sent the sense switch sw1
B  node 1 of 2; node 0 leads: the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks; node crash02 is to stop its part of the run: sent the sense switch
   sw1
`, "40 %"},
		"is ended": {nodesLine + output.NodesLost + "node crash02: no answer\n", `
A  node 0 of 2, which leads: a part of the run is lost: node crash02: no answer
`, "starting"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := nodesOf(t, c.stdout)
			t.Setenv("COLUMNS", "160")
			r := call(t, "status", "-state-dir", dir, "-sysfs", sysfs)
			must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
			must.StrContains(t, r.out, c.want)
			must.StrContains(t, r.out, c.activity)
			must.StrNotContains(t, r.out, "\nC  node")
			t.Setenv("COLUMNS", "60")
			for l := range strings.Lines(call(t, "status", "-state-dir", dir, "-sysfs", sysfs).out) {
				must.LessEq(t, 61, len(l), must.Sprint(l))
			}
		})
	}
}

func TestStatus_showsNoControlCharactersOfNodes(t *testing.T) {
	dir, folder := nodesOf(t, nodesLine+output.NodesThere+"\x1b[2J\n")
	out := call(t, "status", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t)).out + call(t, "inspect", folder).out
	must.StrContains(t, out, "the run's nodes: ?[2J")
	must.StrNotContains(t, out, "\x1b")
}

func TestStatus_jsonHasTheNodesOfARunOverSeveral(t *testing.T) {
	dir, _ := nodesOf(t, nodesThere+nodetest.Solving(5, 1e-2)+nodesStop)
	s := statusOf(t, dir, twoSockets.Sysfs(t))
	for i := range 2 {
		task := s.Tasks[i]
		must.Eq(t, 2, task.Nodes)
		must.Eq(t, i, *task.NodeIndex)
		must.False(t, task.NodesWaiting)
		must.Eq(t, "the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks", task.NodesText)
		must.Eq(t, "node crash02 is to stop its part of the run: sent the sense switch sw1", task.NodesStop)
	}
	data, err := json.Marshal(s.Tasks[2])
	must.NoError(t, err)
	must.StrNotContains(t, string(data), "node_index")
	must.StrNotContains(t, string(data), `"nodes`)

	dir, _ = nodesOf(t, nodesWaiting)
	r := call(t, "status", "-json", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
	must.StrContains(t, r.out, `"nodes": 2,
      "node_index": 0,
      "nodes_waiting": true,
      "nodes_text": "waiting for node 1 (it has left no record in the run folder yet) of 2",
      "state": "running",`)
}

func TestMetrics_haveTheNodesOfRuns(t *testing.T) {
	for stdout, waits := range map[string]float64{nodesWaiting: 1, nodesThere: 0} {
		dir, _ := nodesOf(t, stdout)
		r := call(t, "metrics", "-state-dir", dir, "-sysfs", twoSockets.Sysfs(t))
		must.Eq(t, exitOK, r.code)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(r.out))
		must.NoError(t, err)
		for alloc, want := range map[string][3]float64{allocA: {2, 0, waits}, allocB: {2, 1, waits}, "99": {1, 0, 0}} {
			for i, name := range []string{"lsdyna_task_nodes", "lsdyna_task_node_index", "lsdyna_task_waits_for_nodes"} {
				got := metric(t, families[name], map[string]string{"alloc_id": alloc, "task": "solve"}).GetGauge().GetValue()
				must.Eq(t, want[i], got, must.Sprint(name, alloc))
				must.StrContains(t, helpOf("metrics"), name)
			}
		}
	}
}

func TestInspect_tellsTheNodesOfARun(t *testing.T) {
	const there, stop = "the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks", "node crash02 is to stop its part of the run: sent the sense switch sw1"
	openMPI, hydra := aroundtest.OpenMPI, aroundtest.Hydra("9", "Killed (signal 9)")
	for name, c := range map[string]struct {
		stdout, stderr string
		outcome        output.Kind
		reason         string
		nodes, stop    string
	}{
		"waited":                  {stdout: nodesWaiting, outcome: output.Unknown, nodes: "waiting for node 1 (it has left no record in the run folder yet) of 2"},
		"stopped by another node": {stdout: nodesThere + nodetest.Solving(5, 1e-2) + nodesStop, outcome: output.Unknown, nodes: there, stop: stop},
		"a node lost": {
			stdout: nodesThere + nodetest.Solving(5, 1e-2) + nodesLine + output.NodesLost + "node crash02: no answer\n", outcome: output.Killed,
			reason: "a part of the run is lost: node crash02: no answer", nodes: there,
		},
		"a rank killed, Open MPI": {
			stdout: nodesThere + nodetest.Solving(5, 1e-2) + openMPI, outcome: output.Killed,
			reason: "mpirun: rank 1 with PID 0 on node lsdyna-node-1-crash02 exited on signal 9 (Killed).", nodes: there,
		},
		"the same, of stderr": {
			stdout: nodesThere + nodetest.Solving(5, 1e-2), stderr: openMPI, outcome: output.Killed,
			reason: "mpirun: rank 1 with PID 0 on node lsdyna-node-1-crash02 exited on signal 9 (Killed).", nodes: there,
		},
		"a rank killed, Hydra": {
			stdout: nodesThere + nodetest.Solving(5, 1e-2) + hydra, outcome: output.Killed,
			reason: "mpiexec: a rank (process 4711) on node lsdyna-node-1-crash02 exited on signal: Killed (signal 9)", nodes: there,
		},
		"one node": {stdout: nodetest.Solving(5, 1e-2), outcome: output.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			topologytest.WriteFile(t, filepath.Join(folder, "stdout"), c.stdout)
			if c.stderr != "" {
				topologytest.WriteFile(t, filepath.Join(folder, "stderr"), c.stderr)
			}
			t.Setenv("COLUMNS", "250")
			r := call(t, "inspect", folder)
			must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
			for _, want := range []string{string(c.outcome), c.reason, c.nodes, c.stop} {
				must.StrContains(t, r.out, want)
			}
			if c.nodes == "" {
				must.StrNotContains(t, r.out, "the run's nodes")
			}
			var report struct { // null leaves a text empty
				Nodes string `json:"nodes_text"`
				Stop  string `json:"nodes_stop"`
			}
			must.NoError(t, json.Unmarshal([]byte(call(t, "inspect", "-json", folder).out), &report))
			must.Eq(t, c.nodes, report.Nodes)
			must.Eq(t, c.stop, report.Stop)
		})
	}
}
