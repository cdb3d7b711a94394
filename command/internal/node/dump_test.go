// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestTask_Loss(t *testing.T) {
	now := time.Now()
	written := &WrittenDump{Dump: output.Dump{Name: "d3dump02", Time: .5}, At: now.Add(-time.Minute)}
	for name, c := range map[string]struct {
		dump    *WrittenDump
		every   time.Duration
		restart string
		want    string
	}{
		"nothing asked for":           {want: ""},
		"before the first checkpoint": {every: time.Hour, want: "no dump yet; a checkpoint every 1h00m"},
		"after a restart":             {every: time.Hour, restart: "d3dump01", want: "no dump yet since d3dump01, with which it began; a checkpoint every 1h00m"},
		"a dump of its own":           {dump: written, every: time.Hour, restart: "d3dump01", want: "newest dump d3dump02 of t = 0.5, 1m00s old; a checkpoint every 1h00m"},
		"a dump without checkpoints":  {dump: written, want: "newest dump d3dump02 of t = 0.5, 1m00s old"},
	} {
		t.Run(name, func(t *testing.T) {
			var task Task
			task.Progress.Known, task.Progress.Dump = true, c.dump
			task.Progress.Snapshot.Phase = output.PhaseSolving
			task.Details.Checkpoint, task.Details.Restart = c.every, c.restart
			must.Eq(t, c.want, task.Loss(now))
		})
	}
}
