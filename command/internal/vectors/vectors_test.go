// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package vectors

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
)

func TestVectors_haveOneRunOfEachTask(t *testing.T) {
	run := func(invocation, state string) node.TaskReport {
		return node.TaskReport{
			TaskIdentity: node.TaskIdentity{AllocID: "a", Task: "solve", Invocation: invocation},
			TaskProcess:  node.TaskProcess{State: state},
		}
	}
	for name, c := range map[string]struct {
		runs []node.TaskReport
		want string
	}{
		"the last that ended":  {[]node.TaskReport{run("1", "ended"), run("2", "ended")}, "2"},
		"the live after it":    {[]node.TaskReport{run("1", "ended"), run("2", "running")}, "2"},
		"the live before it":   {[]node.TaskReport{run("1", "running"), run("2", "ended")}, "1"},
		"the last of two live": {[]node.TaskReport{run("1", "orphaned"), run("2", "running")}, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			kept := newestRuns(append(c.runs, node.TaskReport{TaskIdentity: node.TaskIdentity{AllocID: "b", Task: "solve"}}))
			must.Len(t, 2, kept)
			must.Eq(t, c.want, kept[0].Invocation)
		})
	}
}

func TestSet_takesLabelsThatAreNotUTF8(t *testing.T) {
	registry := prometheus.NewRegistry()
	Set(registry, node.Report{Tasks: []node.TaskReport{{TaskIdentity: node.TaskIdentity{JobID: "cra\xffsh", AllocID: "a", Task: "solve"}}}})
	families, err := registry.Gather()
	must.NoError(t, err)
	jobs := map[string]bool{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "job" {
					jobs[label.GetValue()] = true
				}
			}
		}
	}
	must.Eq(t, map[string]bool{"cra?sh": true}, jobs)
}
