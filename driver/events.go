// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// events hands task events to Nomad without losing those that matter most: an
// event about a recovered task is dropped by the client until the task's runner
// is up again (client/pluginmanager/drivermanager, handleEvent), and after a
// restart of the plugin nobody listens at first. So a task's events are held until
// Nomad waits for the task, and all events until somebody listens.
type events struct {
	mu          sync.Mutex
	backlog     []*drivers.TaskEvent // for the next listener
	listeners   map[*listener]struct{}
	held        map[*task][]*drivers.TaskEvent
	attachedFor map[*task]struct{}
	secrets     license.Secrets // what no event may hold
}

// Nomad keeps the last ten events of a task; a few more of all tasks are plenty.
const (
	maxHeld    = 20
	maxBacklog = 1000
)

type listener struct {
	wake  chan struct{}
	queue []*drivers.TaskEvent // guarded by events.mu
}

func newEvents() *events {
	return &events{
		listeners:   map[*listener]struct{}{},
		held:        map[*task][]*drivers.TaskEvent{},
		attachedFor: map[*task]struct{}{},
	}
}

// hide names what no event may hold from now on.
func (e *events) hide(secrets license.Secrets) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets = secrets
}

// redact takes out of a text what no event may hold. Much of what the driver
// says is what a solver printed, and solvers print their licence server.
func (e *events) redact(text string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.secrets.Redact(text)
}

// emit says something about a task.
func (e *events) emit(t *task, message string, annotations map[string]string) {
	event := t.event(e.redact(message), annotations)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.attachedFor[t]; !ok {
		e.held[t] = keepLast(append(e.held[t], event), maxHeld)
		return
	}
	e.publish(event)
}

// attach lets a task's events through, those held first.
func (e *events) attach(t *task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attachedFor[t] = struct{}{}
	for _, event := range e.held[t] {
		e.publish(event)
	}
	delete(e.held, t)
}

// handOver keeps what was said of a task for the one that takes its place.
func (e *events) handOver(old, next *task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[next] = append(e.held[old], e.held[next]...)
	delete(e.held, old)
	delete(e.attachedFor, old)
}

// forget drops what is kept for a task.
func (e *events) forget(t *task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.held, t)
	delete(e.attachedFor, t)
}

func (e *events) publish(event *drivers.TaskEvent) {
	if len(e.listeners) == 0 {
		e.backlog = keepLast(append(e.backlog, event), maxBacklog)
		return
	}
	for l := range e.listeners {
		l.queue = keepLast(append(l.queue, event), maxBacklog)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func keepLast(list []*drivers.TaskEvent, n int) []*drivers.TaskEvent {
	if len(list) > n {
		return list[len(list)-n:]
	}
	return list
}

// subscribe returns a stream of events that closes when either context is done.
func (e *events) subscribe(ctx, driver context.Context) <-chan *drivers.TaskEvent {
	l := &listener{wake: make(chan struct{}, 1)}
	e.mu.Lock()
	l.queue, e.backlog = e.backlog, nil
	e.listeners[l] = struct{}{}
	e.mu.Unlock()
	l.wake <- struct{}{}

	ch := make(chan *drivers.TaskEvent)
	go func() {
		defer close(ch)
		defer e.unsubscribe(l)
		for {
			select {
			case <-ctx.Done():
				return
			case <-driver.Done():
				return
			case <-l.wake:
			}
			for event := e.next(l); event != nil; event = e.next(l) {
				select {
				case ch <- event:
				case <-ctx.Done():
					e.putBack(l, event)
					return
				case <-driver.Done():
					return
				}
			}
		}
	}()
	return ch
}

func (e *events) next(l *listener) *drivers.TaskEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	event := l.queue[0]
	l.queue = l.queue[1:]
	return event
}

func (e *events) putBack(l *listener, event *drivers.TaskEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.queue = append([]*drivers.TaskEvent{event}, l.queue...)
}

// unsubscribe keeps what a listener did not take for the next one.
func (e *events) unsubscribe(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
	if len(e.listeners) == 0 {
		e.backlog = keepLast(append(e.backlog, l.queue...), maxBacklog)
	}
}
