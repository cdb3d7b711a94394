// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package events hands task events to Nomad without losing those that matter
// most. The client drops an event about a recovered task until the task's runner
// is up again (handleEvent in client/pluginmanager/drivermanager), and after a
// restart of the plugin nobody listens at first. So a task's events are held until
// Nomad waits for the task, and all events until somebody listens.
//
// No event holds a secret: much of what the driver says is what a solver
// printed, and solvers print their licence server.
package events

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Nomad keeps the last ten events of a task. A few more of each task are held,
// and plenty of all tasks together.
const (
	maxHeld    = 20
	maxBacklog = 1000
)

// Hub takes the events of all tasks and passes them on to everybody who listens.
type Hub struct {
	ctx     context.Context // its end is the end of every subscription
	senders sync.WaitGroup  // a goroutine for each subscription

	mu        sync.Mutex // guards what follows; taken after a Stream's
	secrets   license.Secrets
	backlog   []*drivers.TaskEvent // for the next listener, while there is none
	listeners map[*listener]struct{}
	moved     chan struct{} // closed, and made anew, when a listener has come, taken an event, or left
	over      bool          // no subscription begins any more
}

// listener is one subscription.
type listener struct {
	wake  chan struct{}        // has room for one: the queue is not empty
	queue []*drivers.TaskEvent // guarded by Hub.mu, as what follows
	got   int                  // events that came into the queue
	left  int                  // and that left it: taken by who listens, or dropped
}

// NewHub returns a hub that passes on events until the context is done.
func NewHub(ctx context.Context) *Hub {
	return &Hub{ctx: ctx, listeners: map[*listener]struct{}{}, moved: make(chan struct{})}
}

// Hide sets what no event may hold from now on.
func (h *Hub) Hide(secrets license.Secrets) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets = secrets
}

// Redact takes out of a text what no event may hold, and makes it Plain.
func (h *Hub) Redact(text string) string {
	h.mu.Lock()
	secrets := h.secrets
	h.mu.Unlock()
	return Plain(secrets.Redact(text))
}

// Stream returns the events of one task. What it emits is logged, too.
func (h *Hub) Stream(id state.ID, logger hclog.Logger) *Stream {
	return &Stream{hub: h, id: id, logger: logger, through: make(chan struct{})}
}

// publish gives an event to every listener. It never waits for one.
func (h *Hub) publish(event *drivers.TaskEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 {
		h.backlog = appendLast(h.backlog, event, maxBacklog)
		return
	}
	for l := range h.listeners {
		before := len(l.queue)
		l.queue = appendLast(l.queue, event, maxBacklog)
		l.got++
		l.left += before + 1 - len(l.queue)
		l.signal()
	}
}

// appendLast appends an event to a list of which only the last n are kept.
func appendLast(list []*drivers.TaskEvent, event *drivers.TaskEvent, n int) []*drivers.TaskEvent {
	list = append(list, event)
	return list[max(len(list)-n, 0):]
}

// Subscribe returns the events of all tasks from now on, after those that nobody
// has taken so far. The channel closes when the context or the hub's is done.
func (h *Hub) Subscribe(ctx context.Context) <-chan *drivers.TaskEvent {
	ch := make(chan *drivers.TaskEvent)
	l := h.listen()
	if l == nil {
		close(ch)
		return ch
	}
	go func() {
		defer h.senders.Done()
		defer close(ch)
		defer h.leave(l)
		h.send(ctx, l, ch)
	}()
	return ch
}

// listen adds a listener that has the backlog before it. It returns nil when the
// hub has ended; whoever got one calls senders.Done.
func (h *Hub) listen() *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.ctx.Err() != nil {
		return nil
	}
	h.senders.Add(1)
	l := &listener{wake: make(chan struct{}, 1), queue: h.backlog, got: len(h.backlog)}
	h.backlog = nil
	h.listeners[l] = struct{}{}
	h.tellMoved()
	l.signal()
	return l
}

func (l *listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // it has not seen the last signal yet
	}
}

// send passes a listener's queue on until one of the contexts is done. What it
// could not pass on is in the queue again then.
func (h *Hub) send(ctx context.Context, l *listener, ch chan<- *drivers.TaskEvent) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.ctx.Done():
			return
		case <-l.wake:
		}
		for event := h.next(l); event != nil; event = h.next(l) {
			select {
			case ch <- event:
				h.taken(l)
				continue
			case <-ctx.Done():
			case <-h.ctx.Done():
			}
			h.putBack(l, event)
			return
		}
	}
}

// next takes the first event out of a listener's queue, nil when it is empty.
func (h *Hub) next(l *listener) *drivers.TaskEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	event := l.queue[0]
	l.queue = l.queue[1:]
	return event
}

// taken notes that a listener has taken an event.
func (h *Hub) taken(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.left++
	h.tellMoved()
}

// tellMoved wakes those who wait for events to be taken. The caller holds mu.
func (h *Hub) tellMoved() {
	close(h.moved)
	h.moved = make(chan struct{})
}

// awaitPassed waits until everybody who listens now has taken all events so far, or has
// left. It reports false where nobody listens, or the context ends first.
func (h *Hub) awaitPassed(ctx context.Context) bool {
	h.mu.Lock()
	due := map[*listener]int{}
	for l := range h.listeners {
		due[l] = l.got
	}
	h.mu.Unlock()
	for len(due) > 0 {
		h.mu.Lock()
		waits := false
		for l, got := range due {
			_, listens := h.listeners[l]
			waits = waits || listens && l.left < got
		}
		moved := h.moved
		h.mu.Unlock()
		if !waits {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// awaitListener waits until somebody listens; false where the context ends first.
func (h *Hub) awaitListener(ctx context.Context) bool {
	for {
		h.mu.Lock()
		listens, moved := len(h.listeners) > 0, h.moved
		h.mu.Unlock()
		if listens {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

func (h *Hub) putBack(l *listener, event *drivers.TaskEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.queue = append([]*drivers.TaskEvent{event}, l.queue...)
}

// leave removes a listener. What the last one did not take is the next one's.
func (h *Hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	h.tellMoved()
	if len(h.listeners) == 0 {
		h.backlog = l.queue[max(len(l.queue)-maxBacklog, 0):]
	}
}

// Wait waits for the hub's context and until every subscription has ended with it.
func (h *Hub) Wait() {
	<-h.ctx.Done()
	h.mu.Lock()
	h.over = true // or one could begin while those before it are waited for
	h.mu.Unlock()
	h.senders.Wait()
}
