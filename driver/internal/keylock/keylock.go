// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package keylock has a lock for each of any number of keys. Waiting for one
// ends with a context, so that a holder that hangs, e.g. on a file server that
// does not answer, cannot hold up others without bound.
package keylock

import (
	"context"
	"sync"
)

// Locks is a set of locks, one for each key. The zero value is ready to use.
type Locks struct {
	mu    sync.Mutex // guards locks and the users of each
	locks map[string]*lock
}

type lock struct {
	held  chan struct{} // has room for one: its holder
	users int           // who holds it or waits for it
}

// Lock takes the lock of a key, and returns what gives it back; calling that
// again does nothing. Once the context is done the lock is not taken, and the
// error is the context's cause.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	k := l.use(key)
	select {
	case k.held <- struct{}{}:
		return sync.OnceFunc(func() {
			<-k.held
			l.leave(key, k)
		}), nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, context.Cause(ctx)
	}
}

func (l *Locks) use(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locks[key]
	if k == nil {
		if l.locks == nil {
			l.locks = map[string]*lock{}
		}
		k = &lock{held: make(chan struct{}, 1)}
		l.locks[key] = k
	}
	k.users++
	return k
}

// leave drops a lock that nobody uses any more: keys come and go with tasks.
func (l *Locks) leave(key string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.locks, key)
	}
}
