// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// twoSockets has 8 cores of two threads.
var twoSockets = topologytest.Of(2, 1, 1, 4, 2)

// result is what a call of Run gave.
type result struct {
	code        int
	out, errout string
}

// call runs a command in a terminal-less world of a given width.
func call(t testing.TB, args ...string) result {
	t.Helper()
	var out, errout bytes.Buffer
	code := Run(context.Background(), args, &out, &errout)
	return result{code, out.String(), errout.String()}
}

// endRun ends a real run, and waits until its supervisor has written its last file.
func endRun(t *testing.T, proc *supervisor.Process) {
	t.Helper()
	defer proc.Close()
	if tree, err := proc.Tree(); err == nil {
		_ = tree.Kill(context.Background())
	}
	select {
	case <-proc.Done():
	case <-time.After(time.Minute):
		t.Error("the supervisor has not ended")
	}
}
