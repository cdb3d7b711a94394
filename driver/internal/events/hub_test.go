// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// newHub returns a hub that ends with the test and is waited for.
func newHub(t *testing.T) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	h := NewHub(ctx)
	t.Cleanup(func() {
		cancel()
		h.Wait()
	})
	return h
}

func newStream(h *Hub, name string) *Stream {
	return h.Stream(state.ID{Alloc: "alloc", Task: name, Invocation: "1"}, hclog.NewNullLogger())
}

func newAttached(h *Hub, name string) *Stream {
	s := newStream(h, name)
	s.Attach()
	return s
}

// subscribe listens until stop is called, which returns what was still taken.
func subscribe(h *Hub) (ch <-chan *drivers.TaskEvent, stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	ch = h.Subscribe(ctx)
	return ch, func() []string {
		cancel()
		return drain(ch)
	}
}

func take(ch <-chan *drivers.TaskEvent, n int) []string {
	var messages []string
	for range n {
		messages = append(messages, (<-ch).Message)
	}
	return messages
}

// drain reads until the channel is closed: what was not read is put back then.
func drain(ch <-chan *drivers.TaskEvent) []string {
	var messages []string
	for event := range ch {
		messages = append(messages, event.Message)
	}
	return messages
}

func numbered(from, to int) []string {
	var messages []string
	for i := from; i < to; i++ {
		messages = append(messages, fmt.Sprint(i))
	}
	return messages
}

func emitNumbers(s *Stream, from, to int) {
	for _, message := range numbered(from, to) {
		s.Emit(message)
	}
}

func TestHub_BacklogWaitsForAListener(t *testing.T) {
	h := newHub(t)
	emitNumbers(newAttached(h, "a"), 0, 3)
	emitNumbers(newAttached(h, "b"), 3, 5)
	ch, _ := subscribe(h)
	must.Eq(t, numbered(0, 5), take(ch, 5))
}

func TestHub_BacklogIsGivenOutOnce(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	s.Emit("early")
	first, _ := subscribe(h)
	second, _ := subscribe(h)
	s.Emit("late")
	must.Eq(t, []string{"early", "late"}, take(first, 2))
	must.Eq(t, []string{"late"}, take(second, 1))
}

func TestHub_BacklogOverflowKeepsTheLast(t *testing.T) {
	h := newHub(t)
	emitNumbers(newAttached(h, "a"), 0, maxBacklog+250)
	ch, stop := subscribe(h)
	must.Eq(t, numbered(250, maxBacklog+250), take(ch, maxBacklog))
	must.SliceEmpty(t, stop())
}

func TestHub_QueueOfASlowListenerKeepsTheLast(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	ch, stop := subscribe(h)
	s.Emit("taken")
	must.Eq(t, []string{"taken"}, take(ch, 1))
	emitNumbers(s, 0, 2*maxBacklog)
	var got []string
	for last := fmt.Sprint(2*maxBacklog - 1); len(got) == 0 || got[len(got)-1] != last; {
		got = append(got, take(ch, 1)...)
	}
	// One more was on its way to the listener before the queue was full.
	must.Between(t, maxBacklog, len(got), maxBacklog+1)
	must.Eq(t, numbered(maxBacklog, 2*maxBacklog), got[len(got)-maxBacklog:])
	must.SliceEmpty(t, stop())
}

// A listener that goes away in the middle has an event in its hands that nobody
// takes: it is the first that the next one gets.
func TestHub_NextListenerGetsWhatTheLastDidNotTake(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	for range 50 { // each time the listener is somewhere else in its work
		ch, stop := subscribe(h)
		emitNumbers(s, 0, 10)
		got := take(ch, 3)
		got = append(got, stop()...)
		emitNumbers(s, 10, 12) // nobody listens
		ch, stop = subscribe(h)
		got = append(got, take(ch, 12-len(got))...)
		must.Eq(t, numbered(0, 12), got)
		must.SliceEmpty(t, stop())
	}
}

func TestHub_WhatIsPutBackOverflowsAtItsFront(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	emitNumbers(s, 0, maxBacklog)
	_, stop := subscribe(h)
	taken := len(stop()) // the listener goes away with all but these
	emitNumbers(s, maxBacklog, maxBacklog+100)
	ch, stop := subscribe(h)
	from := max(taken, 100)
	must.Eq(t, numbered(from, maxBacklog+100), take(ch, maxBacklog+100-from))
	must.SliceEmpty(t, stop())
}

// The event in the listener's hands makes a full queue one too many.
func TestHub_FullQueueIsPutBackWithinItsBounds(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	_, stop := subscribe(h)
	s.Emit("in hand")
	h.awaitTaken()
	emitNumbers(s, 0, maxBacklog)
	must.SliceEmpty(t, stop())
	must.Eq(t, maxBacklog, len(h.backlog))
	must.Eq(t, "0", h.backlog[0].Message)
}

// awaitTaken waits until the queues of all listeners are empty.
func (h *Hub) awaitTaken() {
	for {
		h.mu.Lock()
		left := 0
		for l := range h.listeners {
			left += len(l.queue)
		}
		h.mu.Unlock()
		if left == 0 {
			return
		}
		runtime.Gosched()
	}
}

// While one listens, what another did not take is not kept: it would come twice.
func TestHub_ListenerThatLeavesOthersPutsNothingBack(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	stays, _ := subscribe(h)
	_, stop := subscribe(h)
	emitNumbers(s, 0, 10)
	stop()
	must.Eq(t, numbered(0, 10), take(stays, 10))
	next, stop := subscribe(h)
	s.Emit("new")
	must.Eq(t, []string{"new"}, take(next, 1))
	must.SliceEmpty(t, stop())
}

func TestHub_ReachesEveryListener(t *testing.T) {
	h := newHub(t)
	a, _ := subscribe(h)
	b, _ := subscribe(h)
	newAttached(h, "a").Emit("hear")
	must.Eq(t, []string{"hear"}, take(a, 1))
	must.Eq(t, []string{"hear"}, take(b, 1))
}

func TestHub_EndsItsSubscriptions(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	h := NewHub(ctx)
	idle, busy := h.Subscribe(context.Background()), h.Subscribe(context.Background())
	newAttached(h, "a").Emit("not taken")
	take(idle, 1)
	cancel()
	h.Wait()
	must.SliceEmpty(t, drain(idle))
	must.SliceEmpty(t, drain(busy))
	must.SliceEmpty(t, drain(h.Subscribe(context.Background())), must.Sprint("one that begins after the end"))
	must.Nil(t, h.listen(), must.Sprint("nobody would wait for it"))
	must.MapEmpty(t, h.listeners)
}

func TestHub_PublishesAndListensAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	h := NewHub(ctx)
	var emitters, readers sync.WaitGroup
	for i := range 4 {
		s := newStream(h, fmt.Sprint(i))
		emitters.Go(func() {
			emitNumbers(s, 0, 50)
			s.Forget()
		})
		emitters.Go(s.Attach)
		readers.Go(func() {
			for range 20 {
				short, stop := context.WithCancel(ctx)
				ch := h.Subscribe(short)
				h.Redact("x")
				stop()
				drain(ch)
			}
		})
	}
	readers.Go(func() { drain(h.Subscribe(ctx)) })
	emitters.Wait()
	cancel()
	readers.Wait()
	h.Wait()
}

func TestStream_EventSaysWhoseItIs(t *testing.T) {
	h := newHub(t)
	ch, _ := subscribe(h)
	newAttached(h, "solve").Emit("Allocated cores 0-3")
	event := <-ch
	must.Eq(t, "alloc/solve/1", event.TaskID)
	must.Eq(t, "alloc", event.AllocID)
	must.Eq(t, "solve", event.TaskName)
	must.Eq(t, "Allocated cores 0-3", event.Message)
	must.False(t, event.Timestamp.IsZero())
	must.MapEmpty(t, event.Annotations)
}

func TestStream_IsHeldUntilItIsAttached(t *testing.T) {
	h := newHub(t)
	ch, stop := subscribe(h)
	known, unknown := newStream(h, "known"), newStream(h, "unknown")
	unknown.Emit("the client would drop it")
	known.Emit("first")
	known.Emit("second")
	known.Attach()
	known.Emit("third")
	known.Attach() // Nomad waits once more
	must.Eq(t, []string{"first", "second", "third"}, take(ch, 3))
	unknown.Attach()
	must.Eq(t, []string{"the client would drop it"}, take(ch, 1))
	must.SliceEmpty(t, append(known.held, unknown.held...))
	must.SliceEmpty(t, stop())
}

func TestStream_HeldOverflowKeepsTheLast(t *testing.T) {
	h := newHub(t)
	s := newStream(h, "a")
	emitNumbers(s, 0, maxHeld+7)
	s.Attach()
	ch, stop := subscribe(h)
	must.Eq(t, numbered(7, maxHeld+7), take(ch, maxHeld))
	must.SliceEmpty(t, stop())
}

// A page about a run tells more of its events than Nomad keeps, and not without bound.
func TestStream_ToldAreTheLast(t *testing.T) {
	s := newStream(newHub(t), "a")
	emitNumbers(s, 0, maxTold+7)
	var told []string
	for _, event := range s.Told() {
		told = append(told, event.Text)
	}
	must.Eq(t, numbered(7, maxTold+7), told)
}

func TestStream_ForgottenHoldsNothing(t *testing.T) {
	h := newHub(t)
	s := newStream(h, "a")
	s.Emit("held")
	s.Forget()
	s.Emit("after its end")
	s.Attach()
	s.Emit("after that")
	must.SliceEmpty(t, s.held)
	must.SliceEmpty(t, h.backlog)
}

func TestStream_HasNoSecretsAndIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	h := newHub(t)
	s := h.Stream(state.ID{Alloc: "alloc", Task: "a", Invocation: "1"}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	ch, _ := subscribe(h)
	s.Attach()
	h.Hide(license.NewSecrets(map[string]string{"LSTC_LICENSE_SERVER": "31010@hidden.example"}))
	must.Eq(t, "No answer from …", s.Emit("No answer from hidden.example"))
	must.Eq(t, []string{"No answer from …"}, take(ch, 1))
	must.Eq(t, 1, strings.Count(log.String(), "No answer from …"))
	must.StrNotContains(t, log.String(), "hidden")

	reason := s.Redact("error: 31010@hidden.example refused")
	must.Eq(t, "error: … refused", reason)
	s.EmitRedacted(reason)
	must.Eq(t, []string{reason}, take(ch, 1))
}

// settles calls Settle and returns a channel that is closed when it returns.
func settles(ctx context.Context, s *Stream) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Settle(ctx)
	}()
	return done
}

// What must not come before a task's events waits until who listens has taken them.
func TestStream_SettlesWhenItsEventsWereTaken(t *testing.T) {
	h := newHub(t)
	ch, stop := subscribe(h)
	s := newAttached(h, "a")
	emitNumbers(s, 0, 3)
	done := settles(t.Context(), s)
	must.Eq(t, numbered(0, 2), take(ch, 2))
	must.False(t, h.allPassed())
	must.Eq(t, []string{"2"}, take(ch, 1))
	<-done
	must.True(t, h.allPassed())
	must.SliceEmpty(t, stop())
}

// As long as one of them is on its way it waits, also for those that were told before
// anybody listened, and not longer than what it waits for may take.
func TestStream_SettlesNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := NewHub(ctx)
		s := newAttached(h, "a")
		emitNumbers(s, 0, 3)
		ch := h.Subscribe(ctx)
		began := time.Now()
		done := settles(ctx, s)
		must.Eq(t, numbered(0, 2), take(ch, 2))
		must.False(t, h.allPassed())
		time.Sleep(passing / 2) //nolint:forbidigo // of the test's own clock
		synctest.Wait()
		select {
		case <-done:
			t.Error("the last event has not been taken")
		default:
		}
		must.Eq(t, []string{"2"}, take(ch, 1))
		<-done
		must.Eq(t, passing/2+arrival, time.Since(began))

		emitNumbers(s, 3, 4)
		began = time.Now()
		<-settles(ctx, s)
		must.Eq(t, passing, time.Since(began))
		cancel()
		h.Wait()
	})
}

// allPassed reports whether nothing is on its way to who listens.
func (h *Hub) allPassed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.left < l.got {
			return false
		}
	}
	return true
}

func TestStream_SettlesWithoutWhoListens(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	s.Emit("nobody hears it")
	must.False(t, h.awaitPassed(t.Context()))

	ch, stop := subscribe(h) // and leaves in the middle
	take(ch, 1)
	emitNumbers(s, 0, 3)
	passed := make(chan bool)
	go func() { passed <- h.awaitPassed(t.Context()) }()
	stop()
	<-passed // or this test does not end
}

func TestStream_DoesNotSettleForEver(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	_, stop := subscribe(h)
	emitNumbers(s, 0, 3)
	ctx, cancel := context.WithCancel(t.Context())
	done := settles(ctx, s)
	cancel()
	<-done
	stop()
}

// Events that were dropped from a full queue are not waited for.
func TestHub_WhatWasDroppedHasPassed(t *testing.T) {
	h := newHub(t)
	s := newAttached(h, "a")
	ch, stop := subscribe(h)
	emitNumbers(s, 0, 3*maxBacklog)
	for last, got := fmt.Sprint(3*maxBacklog-1), ""; got != last; {
		got = take(ch, 1)[0]
	}
	must.True(t, h.awaitPassed(t.Context()))
	must.SliceEmpty(t, stop())
}

// What comes after an event may be told only when that has come: whoever waits for it waits
// for Nomad to know the task, and for somebody who listens.
func TestStream_AwaitPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		s := newStream(h, "solve")
		s.Emit("first")
		ctx, cancel := context.WithCancel(t.Context())
		passed := make(chan bool, 1)
		go func() { passed <- s.AwaitPassed(ctx) }()
		waits := func() {
			t.Helper()
			synctest.Wait()
			select {
			case <-passed:
				t.Fatal("it has passed")
			default:
			}
		}
		waits()
		s.Attach()
		waits()
		ch, stop := subscribe(h)
		waits()
		must.Eq(t, []string{"first"}, take(ch, 1))
		must.True(t, <-passed)

		must.SliceEmpty(t, stop())
		s.Emit("second")
		go func() { passed <- s.AwaitPassed(ctx) }()
		waits()
		cancel()
		must.False(t, <-passed)

		gone := newStream(h, "gone")
		ctx, cancel = context.WithCancel(t.Context())
		go func() { passed <- gone.AwaitPassed(ctx) }()
		waits()
		gone.Forget()
		waits() // nobody listens
		cancel()
		must.False(t, <-passed)
	})
}
