// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

func nullLogger() hclog.Logger { return hclog.NewNullLogger() }

func silentTask(name string) *task {
	return &task{id: state.ID{Alloc: "alloc", Task: name, Invocation: "1"}, logger: nullLogger()}
}

// take reads so many events.
func take(ch <-chan *drivers.TaskEvent, n int) []string {
	var words []string
	for range n {
		words = append(words, (<-ch).Message)
	}
	return words
}

func TestEvents_AreHeldUntilNomadWaitsForTheTask(t *testing.T) {
	e, known, unknown := newEvents(), silentTask("known"), silentTask("unknown")
	ch := e.subscribe(t.Context(), t.Context())
	e.emit(unknown, "dropped by the client", nil)
	e.emit(known, "first", nil)
	e.attach(known)
	e.emit(known, "second", map[string]string{"a": "b"})
	must.Eq(t, []string{"first", "second"}, take(ch, 2))
	e.attach(unknown)
	event := <-ch
	must.Eq(t, "dropped by the client", event.Message)
	must.Eq(t, "alloc/unknown/1", event.TaskID)
	must.Eq(t, "alloc", event.AllocID)
	must.Eq(t, "unknown", event.TaskName)
	must.False(t, event.Timestamp.IsZero())
}

func TestEvents_WaitForAListener(t *testing.T) {
	e, k := newEvents(), silentTask("t")
	e.attach(k)
	e.emit(k, "before", nil)
	ctx, cancel := context.WithCancel(t.Context())
	ch := e.subscribe(ctx, t.Context())
	must.Eq(t, []string{"before"}, take(ch, 1))
	e.emit(k, "not taken", nil)
	e.emit(k, "nor this", nil)
	cancel()
	var taken []string
	for event := range ch { // the select may still hand some over
		taken = append(taken, event.Message)
	}
	e.emit(k, "while nobody listens", nil)
	ch = e.subscribe(t.Context(), t.Context())
	want := []string{"not taken", "nor this", "while nobody listens"}[len(taken):]
	must.Eq(t, want, take(ch, len(want)))
}

func TestEvents_ReachEveryListener(t *testing.T) {
	e, k := newEvents(), silentTask("t")
	e.attach(k)
	a, b := e.subscribe(t.Context(), t.Context()), e.subscribe(t.Context(), t.Context())
	e.emit(k, "hear", nil)
	must.Eq(t, take(a, 1), take(b, 1))
}

func TestEvents_AreBounded(t *testing.T) {
	e, k := newEvents(), silentTask("t")
	for i := range 10 * maxHeld {
		e.emit(k, fmt.Sprint(i), nil)
	}
	must.Eq(t, maxHeld, len(e.held[k]))
	must.Eq(t, fmt.Sprint(10*maxHeld-1), e.held[k][maxHeld-1].Message)
	e.attach(k)
	for i := range 2 * maxBacklog {
		e.emit(k, fmt.Sprint(i), nil)
	}
	must.Eq(t, maxBacklog, len(e.backlog))
	e.forget(k)
	must.MapEmpty(t, e.attachedFor)
	e.emit(silentTask("u"), "held", nil)
	must.Eq(t, 1, len(e.held))
}

func TestEvents_EndWithTheDriver(t *testing.T) {
	e := newEvents()
	driver, end := context.WithCancel(context.Background())
	ch := e.subscribe(context.Background(), driver)
	end()
	_, open := <-ch
	must.False(t, open)
}
