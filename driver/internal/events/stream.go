// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Stream is the events of one task: held until Attach, then passed on.
type Stream struct {
	hub    *Hub
	id     state.ID
	logger hclog.Logger

	mu    sync.Mutex // guards what follows; taken before the Hub's
	phase phase
	held  []*drivers.TaskEvent // while detached
	told  []Told               // the last maxTold

	through chan struct{} // closed when the phase is no longer detached
}

// Told is an event that was emitted.
type Told struct {
	At   time.Time
	Text string
}

// maxTold is how many events of a task are kept for who wants to read them all: Nomad
// keeps ten.
const maxTold = 100

// Told returns the last events of the task, the oldest first.
func (s *Stream) Told() []Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// phase is how far Nomad knows a stream's task.
type phase int

const (
	detached  phase = iota // Nomad does not wait for the task yet
	attached               // events are passed on
	forgotten              // Nomad has destroyed the task
)

// Emit logs an event and passes it on, without secrets, and returns its text as
// others see it. It never waits for a listener.
func (s *Stream) Emit(message string) string {
	message = s.hub.Redact(message)
	s.EmitRedacted(message)
	return message
}

// EmitRedacted is Emit for a text that comes from Redact.
func (s *Stream) EmitRedacted(message string) {
	s.logger.Info(message)
	s.mu.Lock()
	defer s.mu.Unlock()
	event := &drivers.TaskEvent{
		TaskID: s.id.String(), TaskName: s.id.Task, AllocID: s.id.Alloc,
		Timestamp: time.Now(), Message: message,
	}
	s.told = append(s.told[max(0, len(s.told)-maxTold+1):], Told{At: event.Timestamp, Text: message})
	switch s.phase {
	case detached:
		s.held = appendLast(s.held, event, maxHeld)
	case attached:
		s.hub.publish(event)
	case forgotten:
	}
}

// Redact takes out of a text what no event may hold, and makes it Plain.
func (s *Stream) Redact(text string) string { return s.hub.Redact(text) }

// Attach lets the task's events through, those held first. It is for WaitTask:
// when Nomad's task runner waits, the client knows the allocation and its event
// handler is there.
func (s *Stream) Attach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != detached {
		return
	}
	s.phase = attached
	close(s.through)
	for _, event := range s.held {
		s.hub.publish(event)
	}
	s.held = nil
}

// Of the way of an event to the client, which acknowledges none.
const (
	passing = 2 * time.Second        // how long Settle waits for a client that takes none
	arrival = 300 * time.Millisecond // how long one that was sent is given to arrive, and to be put down
)

// Settle waits, for a moment at most, until what was emitted has reached the client. It is
// for what must not come before: Nomad orders a task's events by their arrival, and what
// WaitTask returns takes another way. On that of events nothing tells that they are there.
func (s *Stream) Settle(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, passing)
	defer cancel()
	if !s.hub.awaitPassed(bounded) {
		return
	}
	select {
	case <-time.After(arrival):
	case <-ctx.Done():
	}
}

// AwaitPassed waits, as long as it takes, until what was emitted has reached the client. It
// reports false where the context ends first.
func (s *Stream) AwaitPassed(ctx context.Context) bool {
	select {
	case <-s.through:
	case <-ctx.Done():
		return false
	}
	for !s.hub.awaitPassed(ctx) {
		if !s.hub.awaitListener(ctx) {
			return false
		}
	}
	select {
	case <-time.After(arrival):
		return true
	case <-ctx.Done():
		return false
	}
}

// Forget drops what is held, for a task that Nomad has destroyed. What is
// emitted afterwards is only logged.
func (s *Stream) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == detached {
		close(s.through)
	}
	s.phase, s.held = forgotten, nil
}
