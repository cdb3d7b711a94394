// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Shape says in a line how a task uses its cores, where, and how often a new plugin has
// taken it up; "" where its record tells none of it.
func (t *Task) Shape() string {
	text := ""
	if ranks, threads := t.Details.Ranks, t.Details.Threads; ranks > 0 && threads > 0 {
		switch text = screen.Plural(threads, "thread"); {
		case t.Details.Parallel == string(lsdyna.SMP):
		case threads == 1:
			text = screen.Plural(ranks, "rank")
		default:
			text = screen.Plural(ranks, "rank") + " × " + text
		}
		text = fmt.Sprintf("%s, as %s, in %s", text, t.Details.User, t.RunDir())
	}
	if taken := t.Recoveries.String(); taken != "" {
		if text != "" {
			text += "; "
		}
		text += taken
	}
	return text
}
