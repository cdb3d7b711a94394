// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// Nomad orders a task's events by their arrival, and its own "Terminated" comes of what
// WaitTask returns: that waits, for a moment, for a client that has not taken the events.
func TestWaitTask_ReturnsAfterTheEventsOfTheRun(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := n.TaskEvents(ctx) // by a client that is busy
	must.NoError(t, err)
	r := n.start(slowJob("ncpu = 1"))
	result, err := n.WaitTask(t.Context(), r.id)
	must.NoError(t, err)
	h, err := n.Driver.task(r.id)
	must.NoError(t, err)
	must.NoError(t, n.StopTask(r.id, patience, ""))
	<-h.Ended()
	ended := time.Now()
	must.NotNil(t, <-result)
	must.Greater(t, time.Second, time.Since(ended), must.Sprint("the end came before what led to it"))
}
