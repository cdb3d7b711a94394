// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// holding is a watcher's hold on its folder. What is not atomic is the goroutine's
// alone.
type holding struct {
	wanted  atomic.Pointer[RunOwner] // what Hold asked for; nil for nothing
	release atomic.Bool              // the run is over: the folder is given back at the end

	claim *Claim
	run   string    // whose folder it is; "" where nobody said so
	tried time.Time // when it was last tried in vain
}

// holdPause is how long a hold that failed is not tried again.
const holdPause = 10 * time.Second

// Claim takes the folder for a run that is about to start. The error is an
// *OwnedError while another run has it. The file returned is the lock, for the run's
// supervisor; the caller closes it.
func (w *Watcher) Claim(ctx context.Context, o RunOwner) (lock *os.File, err error) {
	err = w.Do(ctx, func(f *Folder) error {
		if ctx.Err() != nil {
			return ctx.Err() // nobody would take the lock any more
		}
		if w.holding.claim == nil {
			if err := w.claim(f, o); err != nil {
				return err
			}
		}
		lock, err = w.holding.claim.Lock()
		return err
	})
	if err != nil && lock != nil {
		_ = lock.Close()
	}
	return lock, err
}

func (w *Watcher) claim(f *Folder, o RunOwner) (err error) {
	w.holding.claim, err = f.Claim(o)
	if err == nil {
		w.holding.run = o.Run
	}
	return err
}

// Hold has the watcher see to it that the folder is held for a run that lives, and
// that its record says what o says: in its next look, and again until it succeeds.
// Where the run's supervisor holds it there is nothing to do; when it dies, Hold must
// be called again. It never blocks.
func (w *Watcher) Hold(o RunOwner) { w.holding.wanted.Store(&o) }

// Release is Close for a run that is over: the folder is given back.
func (w *Watcher) Release() {
	w.holding.release.Store(true)
	w.cancel()
}

// hold does what Hold asked for.
func (w *Watcher) hold(f *Folder) {
	h := &w.holding
	o := h.wanted.Load()
	if o == nil || h.claim == nil && time.Since(h.tried) < holdPause {
		return
	}
	err := w.holdAs(f, *o)
	var owned *OwnedError
	switch {
	case err == nil, errors.As(err, &owned) && owned.Locked && owned.Owner.Run == o.Run:
		h.wanted.CompareAndSwap(o, nil) // by us, or by the supervisor
		err, h.tried = nil, time.Time{}
	default:
		h.tried = time.Now()
	}
	w.publish(func(v *View) { v.Held = err })
}

func (w *Watcher) holdAs(f *Folder, o RunOwner) error {
	if w.holding.claim == nil {
		return w.claim(f, o)
	}
	return w.holding.claim.Update(o)
}

// dropClaim lets go of a hold through a descriptor that is of no use any more. The
// next look takes it again.
func (w *Watcher) dropClaim() {
	h := &w.holding
	if h.claim == nil {
		return
	}
	h.wanted.CompareAndSwap(nil, &h.claim.owner)
	h.claim.Drop()
	h.claim = nil
}

// leave lets go of the folder when the watching ends: for good where the run is over.
func (w *Watcher) leave() {
	h := &w.holding
	if !h.release.Load() {
		w.dropClaim()
		return
	}
	w.report(w.wait(func() error {
		claim := h.claim
		switch h.claim = nil; {
		case claim != nil:
			return claim.Release()
		case h.run != "" && w.open() == nil:
			return w.folder.Leave(h.run)
		}
		return nil
	}))
}

// checkMine returns an *OwnedError where another run has the folder by now: what lies
// there is that one's.
func (w *Watcher) checkMine(f *Folder) error {
	if w.holding.run == "" {
		return nil
	}
	return f.CheckOwner(w.holding.run)
}
