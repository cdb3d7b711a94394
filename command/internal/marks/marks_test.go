// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package marks

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
)

func TestMarks_stayWithTheirTask(t *testing.T) {
	tasks := []*node.Task{{Dir: "a"}, {Dir: "b"}, {Dir: "c"}}
	known := Marks{}
	known.Assign(tasks)
	known.Assign(tasks[1:])
	known.Assign([]*node.Task{tasks[1], tasks[2], {Dir: "d"}, {Dir: "e"}})
	must.Eq(t, Marks{"d": 0, "b": 1, "c": 2, "e": 3}, known)
	many := Marks{"x": 500}
	mark, _ := many.Of(&node.Task{Dir: "x"})
	must.Eq(t, last, mark)
}
