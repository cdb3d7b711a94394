// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
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
