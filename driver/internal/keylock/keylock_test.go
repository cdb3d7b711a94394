// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package keylock

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/shoenig/test/must"
)

func lockNow(t *testing.T, l *Locks, key string) (unlock func()) {
	t.Helper()
	unlock, err := l.Lock(t.Context(), key)
	must.NoError(t, err)
	return unlock
}

// awaitUsers waits until so many hold a key's lock or wait for it.
func (l *Locks) awaitUsers(key string, n int) {
	for {
		l.mu.Lock()
		k := l.locks[key]
		reached := k != nil && k.users == n
		l.mu.Unlock()
		if reached {
			return
		}
		runtime.Gosched()
	}
}

func TestLock_OneHolderOfAKey(t *testing.T) {
	var l Locks
	counts := make([]int, 3) // each guarded by the lock of its key
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			key := i % len(counts)
			unlock, err := l.Lock(t.Context(), fmt.Sprint(key))
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			counts[key]++
		})
	}
	all.Wait()
	must.Eq(t, []int{100, 100, 100}, counts)
	must.MapEmpty(t, l.locks, must.Sprint("a key that nobody uses is dropped"))
}

func TestLock_KeysDoNotWaitForEachOther(t *testing.T) {
	var l Locks
	defer lockNow(t, &l, "hangs")()
	lockNow(t, &l, "other")()
}

func TestLock_WaitsForTheHolder(t *testing.T) {
	var l Locks
	unlock := lockNow(t, &l, "k")
	got := make(chan error, 1)
	go func() {
		second, err := l.Lock(t.Context(), "k")
		if err == nil {
			second()
		}
		got <- err
	}()
	l.awaitUsers("k", 2)
	must.Eq(t, 0, len(got))
	unlock()
	must.NoError(t, <-got)
	must.MapEmpty(t, l.locks)
}

func TestLock_WaitingEndsWithTheContext(t *testing.T) {
	var l Locks
	unlock := lockNow(t, &l, "k")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := l.Lock(ctx, "k")
		got <- err
	}()
	l.awaitUsers("k", 2)
	cause := errors.New("the driver ends")
	cancel(cause)
	must.ErrorIs(t, <-got, cause)
	l.awaitUsers("k", 1)
	unlock()
	must.MapEmpty(t, l.locks)
	lockNow(t, &l, "k")()
}

func TestLock_IsNotTakenWithAContextThatIsDone(t *testing.T) {
	var l Locks
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select between the two would take it now and then
		_, err := l.Lock(ctx, "k")
		must.ErrorIs(t, err, context.Canceled)
	}
	must.MapEmpty(t, l.locks)
}

func TestLock_UnlockingTwiceDoesNotFreeTheNextHolder(t *testing.T) {
	var l Locks
	unlock := lockNow(t, &l, "k")
	unlock()
	next := lockNow(t, &l, "k")
	unlock()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := l.Lock(ctx, "k")
		got <- err
	}()
	l.awaitUsers("k", 2)
	cancel()
	must.ErrorIs(t, <-got, context.Canceled)
	next()
	must.MapEmpty(t, l.locks)
}
