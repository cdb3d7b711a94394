// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settle"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

const nodesKey = "0123456789abcdef"

// newFollower is the handle of a node that does not lead, and whose part of the run has
// ended.
func newFollower(t *testing.T, open func() (*rundir.Folder, error)) told {
	h := newTold(t, state.Details{RunBase: "/", RunFolder: "x", Nodes: 2, NodeIndex: 1, NodesKey: nodesKey}, open)
	h.ID = state.ID{Alloc: "a", Task: "t", Invocation: "i"}
	h.patience = Patience{Patience: settle.Patience{Silent: time.Hour, Missing: time.Hour, Stopped: time.Hour}}
	_, err := h.advance(leave)
	must.NoError(t, err)
	return h
}

// The plugin may be told to end while a node's run folder does not answer: the next one
// tells how the run ended, and Nomad hears of no failure before.
func TestEndAsFollower_IsLeftToTheNextPlugin(t *testing.T) {
	h := newFollower(t, hung(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.endAsFollower(ctx, h.run.Load(), verdict.Exit{Exit: output.Exit{Known: true}})
	must.False(t, h.IsEnded())
}

func TestEndAsFollower(t *testing.T) {
	completed := nodes.Ended{Alloc: "a", Leader: "crash01", Kind: output.Completed, Reason: "normal termination"}
	other := completed
	other.Alloc = "b"
	known := verdict.Exit{Exit: output.Exit{Known: true}}
	for name, c := range map[string]struct {
		told *nodes.Ended
		exit verdict.Exit
		code int
		want string // of the error; "" for a success
	}{
		"as the leading node says":               {&completed, known, 0, ""},
		"a supervisor that was killed":           {&completed, verdict.Exit{}, 0, ""},
		"nobody told":                            {nil, verdict.Exit{Exit: output.Exit{Known: true, Code: 1}}, 1, "did not tell why"},
		"another allocation was told":            {&other, known, 1, "did not tell why"},
		"the daemon was killed":                  {nil, verdict.Exit{Exit: output.Exit{Known: true, Signal: 9}}, 137, "this node's part of the run was ended by SIGKILL"},
		"the daemon was killed for want of room": {nil, verdict.Exit{Exit: output.Exit{Known: true, Signal: 9, OOMKilled: true}}, 137, "ran out of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.told != nil {
				writeEnded(t, dir, *c.told)
			}
			h := newFollower(t, folderIn(dir))
			h.endAsFollower(t.Context(), h.run.Load(), c.exit)
			must.True(t, h.IsEnded())
			r := h.Result()
			must.Eq(t, c.code, r.ExitCode)
			if c.want == "" {
				must.NoError(t, r.Err)
				return
			}
			must.ErrorContains(t, r.Err, c.want)
		})
	}
}

// What cannot be read is waited for, and no failure that the solver did not have.
func TestEndAsFollower_WaitsForItsFolder(t *testing.T) {
	dir := t.TempDir()
	writeEnded(t, dir, nodes.Ended{Alloc: "a", Kind: output.Completed})
	h := newFollower(t, flaky(dir, rundir.ErrNotOpen, rundir.ErrNotOpen, nil))
	h.endAsFollower(t.Context(), h.run.Load(), verdict.Exit{Exit: output.Exit{Known: true}})
	must.NoError(t, h.Result().Err)

	h = newFollower(t, hung(t))
	h.patience = Patience{Patience: settle.Patience{Silent: time.Nanosecond, Missing: time.Nanosecond, Stopped: time.Hour}}
	h.endAsFollower(t.Context(), h.run.Load(), verdict.Exit{Exit: output.Exit{Known: true}})
	must.ErrorContains(t, h.Result().Err, "unknown: cannot read what the leading node told of the end")
}

func writeEnded(t *testing.T, folder string, e nodes.Ended) {
	t.Helper()
	data, err := json.Marshal(e)
	must.NoError(t, err)
	must.NoError(t, os.MkdirAll(filepath.Join(folder, member.Folder), 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(folder, member.Folder, member.FileName("ended", nodesKey, 1)), data, 0o600))
}

// A switch's signal is the leading node's to send: this task does not read how far the
// solver is.
func TestSendSwitch_OfAFollower(t *testing.T) {
	const text = "SIGUSR1 is the sense switch sw3, which the node sends that leads the run: give the signal to "
	const unknown = "the allocation with index 0 of the job's group that has no first_node"
	leads := ownership.Owner{Run: "x", Job: "crash", Task: "lsdyna", Alloc: "0f3c9e1a", Node: ownership.Node{Name: "crash01"}}
	other, ended, nobody := leads, leads, leads
	other.Job, ended.Ended, nobody.Alloc = "bar", new(time.Now()), ""
	for name, c := range map[string]struct {
		owner *ownership.Owner
		want  string
	}{
		"the folder is the leading node's": {&leads, "allocation 0f3c9e1a on node crash01"},
		"another job has the folder":       {&other, unknown},
		"an earlier run had it":            {&ended, unknown},
		"nobody has it":                    {nil, unknown},
		"its record names no allocation":   {&nobody, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.owner != nil {
				c.owner.Version = 1
				data, err := json.Marshal(c.owner)
				must.NoError(t, err)
				must.NoError(t, os.WriteFile(filepath.Join(dir, ownership.OwnerFile), data, 0o600))
			}
			h := newFollower(t, folderIn(dir))
			h.run.Load().NodesKey = member.Key("", "crash", "lsdyna")
			must.EqError(t, h.SendSwitch(t.Context(), "sw3", "SIGUSR1"), text+c.want)
		})
	}
	t.Run("the folder does not answer", func(t *testing.T) {
		h := newFollower(t, hung(t))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		must.EqError(t, h.SendSwitch(ctx, "sw3", "SIGUSR1"), text+unknown)
	})
}
