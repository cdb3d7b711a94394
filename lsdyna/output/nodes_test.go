// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"strings"
	"testing"
	"unicode"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around/aroundtest"
)

// What the leading node of a run writes, and what launchers write.
const (
	nodesLine  = NodesLine + "[0123456789abcdef] "
	nodesThere = nodesLine + NodesThere + "crash01 with 2 ranks, crash02 with 2 ranks\n"
	openMPI    = aroundtest.OpenMPI
	sigterm    = aroundtest.SIGTERM
)

func hydra(code, signal string) string { return aroundtest.Hydra(code, signal) }

func read(kind lsdyna.OutputKind, text string) Source {
	return Source{Name: string(kind), Kind: kind, Facts: whole([]byte(text))}
}

// solving is the stdout of a run that has its licence and has computed a while.
func solving(t *testing.T) string {
	t.Helper()
	return string(fixture(t, "cut.stdout")) + "\n"
}

func TestReader_takesTheLinesOfTheLeadingNode(t *testing.T) {
	for name, c := range map[string]struct {
		text, nodes, stop, ended string
		waits                    bool
	}{
		"waits":             {nodesLine + NodesWaiting + "node 1 (it has left no record in the run folder yet) of 2\n", "waiting for node 1 (it has left no record in the run folder yet) of 2", "", "", true},
		"are there":         {nodesLine + NodesWaiting + "node 1 (…) of 2\n" + nodesThere, "the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks", "", "", false},
		"is to stop":        {nodesThere + nodesLine + "node crash02 is to stop its part of the run: sent the sense switch sw1\n", "the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks", "node crash02 is to stop its part of the run: sent the sense switch sw1", "", false},
		"is lost":           {nodesLine + NodesLost + "node crash02 (node 1 of the run): no answer\n", "", "", "a part of the run is lost: node crash02 (node 1 of the run): no answer", false},
		"failed":            {nodesLine + NodesFailed + "the nodes of a run must agree: x\n", "", "", "the run over several nodes failed: the nodes of a run must agree: x", false},
		"something else":    {nodesLine + "cannot write the sense switch sw1: no space\n", "", "", "", false},
		"another mark":      {nodesThere + NodesLine + "[x] " + NodesLost + "x\n", "the run's nodes: crash01 with 2 ranks, crash02 with 2 ranks", "", "", false},
		"no mark":           {NodesLine + NodesLost + "x\n", "", "", "", false},
		"an empty mark":     {NodesLine + "[] " + NodesLost + "x\n" + NodesLine + "] " + NodesLost + "x\n", "", "", "", false},
		"another program's": {" another: " + NodesThere + "x\n", "", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{read(lsdyna.KindStdout, c.text)})
			must.Eq(t, []string{c.nodes, c.stop, c.ended}, []string{s.Nodes, s.NodesStop, s.NodesEnded})
			must.Eq(t, c.waits, s.WaitsForNodes())
		})
	}
}

// What a deck has the solver print is never taken for the leading node's words: not in a
// run on one node, nor where it does not know the run's mark, nor in other files.
func TestReader_takesNoLineOfADeckForTheLeadingNodes(t *testing.T) {
	lost := nodesLine + NodesLost + "node crash02: no answer\n"
	for name, c := range map[string]struct {
		kind lsdyna.OutputKind
		text string
	}{
		"on one node":          {lsdyna.KindStdout, solving(t) + lost},
		"without a mark":       {lsdyna.KindStdout, nodesThere + solving(t) + NodesLine + NodesLost + "x\n"},
		"with another mark":    {lsdyna.KindStdout, nodesThere + solving(t) + NodesLine + "[0123456789abcdee] " + NodesLost + "x\n"},
		"after another header": {lsdyna.KindStdout, solving(t) + solving(t) + lost},
		"in d3hsp":             {lsdyna.KindD3hsp, lost},
		"in messag":            {lsdyna.KindMessag, lost},
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{read(c.kind, c.text)})
			must.Eq(t, "", s.NodesEnded+s.NodesStop)
			o := Decide(Combine([]Source{read(lsdyna.KindStdout, solving(t)), read(c.kind, c.text)}), Exit{Known: true, Code: 1})
			must.StrNotContains(t, o.Reason, NodesLost)
		})
	}
}

// The lines come before the solver's header, which must not take them away.
func TestReader_keepsTheNodesOfTheRunThatBegins(t *testing.T) {
	f := whole([]byte(nodesThere + solving(t)))
	must.Eq(t, 1, f.Runs)
	must.StrHasPrefix(t, NodesThere, f.Nodes)
	must.True(t, f.HasTime)
}

// Of a run before in the same file nothing is left.
func TestReader_takesLaunchersWordsForTheRunThatTheyStandBelow(t *testing.T) {
	for _, kind := range []lsdyna.OutputKind{lsdyna.KindStdout, lsdyna.KindStderr} {
		s := Combine([]Source{read(kind, solving(t)+hydra("9", "Killed (signal 9)"))})
		must.StrContains(t, s.Crash, "signal 9", must.Sprint(kind))
		must.StrContains(t, s.RankExit, "exit code 9", must.Sprint(kind))
		s = Combine([]Source{read(kind, solving(t)+hydra("9", "")+solving(t)+"=   EXIT CODE: 9\n")})
		must.Eq(t, "", s.Crash+s.RankExit, must.Sprint(kind))
	}
}

func TestDecide_ofARunOverSeveralNodes(t *testing.T) {
	lost := nodesLine + NodesLost + "node crash02 (node 1 of the run, allocation 77aa): no answer\n"
	stopped := nodesLine + NodesStopped + "the leading node crash01 (allocation 77aa) got SIGTERM\n"
	failed := nodesLine + NodesFailed + "not all nodes of the run are there: waited 30s for node 1: it has left no record in the run folder yet\n"
	done := string(fixture(t, "completed-smp.stdout")) + "\n"
	exited := Exit{Known: true, Code: 1}
	for name, c := range map[string]struct {
		text   string
		exit   Exit
		want   Kind
		reason string
	}{
		"waits":                          {nodesLine + NodesWaiting + "node 1 (x) of 2\n", Exit{Running: true}, Running, "running: no cycle was run"},
		"runs":                           {nodesThere + solving(t), Exit{Running: true}, Running, "running: t = "},
		"completed":                      {nodesThere + done, Exit{Known: true}, Completed, "normal termination at the end time"},
		"a node is lost":                 {nodesThere + solving(t) + lost, exited, Killed, "a part of the run is lost: node crash02 (node 1 of the run, allocation 77aa): no answer: t = "},
		"a node is lost, Open MPI":       {nodesThere + solving(t) + openMPI + lost, exited, Killed, "a part of the run is lost: node crash02"},
		"a node is lost, Hydra":          {nodesThere + solving(t) + hydra("9", "") + lost, exited, Killed, "a part of the run is lost: node crash02"},
		"a node is lost, nobody saw":     {nodesThere + solving(t) + lost, Exit{}, Killed, "a part of the run is lost"},
		"a node did not come":            {failed, exited, Failed, "the run over several nodes failed: not all nodes of the run are there: waited 30s for node 1: it has left no record in the run folder yet: no cycle was run"},
		"stopped without a switch":       {nodesThere + solving(t) + stopped, exited, Stopped, "the run over several nodes was stopped: the leading node crash01 (allocation 77aa) got SIGTERM: t = "},
		"a node is lost after the end":   {nodesThere + done + lost, exited, Completed, "; exit code 1"},
		"the leading node out of memory": {nodesThere + solving(t) + lost, Exit{Known: true, Signal: 9, OOMKilled: true}, Killed, "out of memory"},
		"a rank is killed, Open MPI":     {nodesThere + solving(t) + openMPI, exited, Killed, "ended by signal 9 (SIGKILL): mpirun: rank 1 with PID 0 on node lsdyna-node-1-crash02 exited on signal 9 (Killed)."},
		"a rank is killed, Open MPI 5":   {nodesThere + solving(t) + aroundtest.OpenMPI5, exited, Killed, "exited on signal 9 (Killed)."},
		"a rank is killed, Hydra":        {nodesThere + solving(t) + hydra("9", "Killed (signal 9)"), Exit{Known: true, Code: 9}, Killed, "ended by signal 9 (SIGKILL): mpiexec: a rank (process 4711) on node lsdyna-node-1-crash02 exited on signal: Killed (signal 9)"},
		"a rank is killed, Intel MPI":    {nodesThere + solving(t) + aroundtest.IntelMPI, Exit{Known: true, Code: 9}, Killed, "ended by signal 9 (SIGKILL): mpiexec: rank 1 (process 4711) on node lsdyna-node-1-crash02"},
		"a rank ended, Hydra":            {nodesThere + solving(t) + hydra("3", ""), Exit{Known: true, Code: 3}, Failed, "crashed: mpiexec: a rank (process 4711) on node lsdyna-node-1-crash02 ended with exit code 3"},
		"stopped by another node":        {nodesThere + nodesLine + "node crash02 is to stop its part of the run: sent the sense switch sw1\n" + string(fixture(t, "stopped-sense-switch.stdout")), exited, Stopped, "stopped by sense switch"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Decide(Combine([]Source{read(lsdyna.KindStdout, c.text)}), c.exit)
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
		})
	}
}

// What Hydra says of an exit code says less than what LS-DYNA says: every output is
// judged with it as it was before Hydra's lines were read.
func TestDecide_ofOneNodeIsAsBeforeWithHydrasLines(t *testing.T) {
	for _, c := range outcomeTable {
		if !strings.HasSuffix(c.file, ".stdout") || c.exit.Code == 0 || c.exit.Running {
			continue
		}
		t.Run(c.row, func(t *testing.T) {
			judge := func(lines string) Outcome {
				return Decide(Combine([]Source{read(lsdyna.KindStdout, string(fixture(t, c.file))+"\n"+lines)}), c.exit)
			}
			without, with := judge(""), judge(hydra("78", ""))
			must.Eq(t, c.want, with.Kind, must.Sprint(with.Reason))
			if !strings.HasPrefix(with.Reason, "crashed: mpiexec: ") { // it names a rank where nothing else is known
				must.Eq(t, without.Reason, with.Reason)
			}
		})
	}
	row := func(file string) Outcome {
		return Decide(Combine([]Source{read(lsdyna.KindStdout, string(fixture(t, file))+"\n"+hydra("1", ""))}), Exit{Known: true, Code: 1})
	}
	must.Eq(t, LicenceError, row("no-licence.stdout").Kind)
	must.StrContains(t, row("error-without-banner.stdout").Reason, "ended without a banner after: *** Error")
}

func TestDecide_ofOneNodeHasNothingOfNodes(t *testing.T) {
	for name, data := range fixtureBytes(t) {
		f := whole(data)
		must.Eq(t, "", f.Nodes+f.NodesStop+f.NodesEnded+f.RankExit, must.Sprint(name))
	}
}

func TestReader_boundsTheLinesOfNodes(t *testing.T) {
	evil := "\x1b[2J\x00\x7f\u0085\u2028\xff" + strings.Repeat("x", 900) + strings.Repeat("y", 5000)
	for name, line := range map[string]string{
		"waiting": nodesLine + NodesWaiting + evil,
		"there":   nodesLine + NodesThere + evil,
		"stop":    nodesLine + "node " + evil,
		"lost":    nodesLine + NodesLost + evil,
		"failed":  nodesLine + NodesFailed + evil,
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{read(lsdyna.KindStdout, line+"\n")})
			kept := map[string]int{s.Nodes: maxNodesText, s.NodesStop: maxNodesText, s.NodesEnded: maxNodesText}
			delete(kept, "")
			must.MapNotEmpty(t, kept)
			kept[Decide(s, Exit{Known: true, Code: 1}).Reason] = 2 * maxNodesText
			for text, limit := range kept {
				must.LessEq(t, limit, len(text))
				must.False(t, strings.ContainsFunc(text, unicode.IsControl), must.Sprintf("%q", text))
				must.StrNotContains(t, text, "\u2028")
			}
		})
	}
}
