// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
)

func TestMarks_stayWithTheirTask(t *testing.T) {
	tasks := []*node.Task{{Dir: "a"}, {Dir: "b"}, {Dir: "c"}}
	known := marks{}
	known.assign(tasks)
	known.assign(tasks[1:])
	known.assign([]*node.Task{tasks[1], tasks[2], {Dir: "d"}, {Dir: "e"}})
	must.Eq(t, marks{"d": 0, "b": 1, "c": 2, "e": 3}, known)
	many := marks{"x": 500}
	mark, _ := many.of(&node.Task{Dir: "x"})
	must.Eq(t, lastMark, mark)
}
