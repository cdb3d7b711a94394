// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// holding is a watcher's hold on its folder. What is not atomic is the goroutine's
// alone.
type holding struct {
	wanted  atomic.Pointer[ownership.Owner] // what Hold asked for; nil for nothing
	release atomic.Bool                     // the run is over: the folder is given back at the end

	claim *ownership.Claim
	run   string    // whose folder it is; "" where nobody said so
	tried time.Time // when it was last tried in vain
}

// holdPause is how long a hold that failed is not tried again.
const holdPause = 10 * time.Second

// Claim takes the folder for a run that is about to start. The error is an
// *ownership.OwnedError while another run has it. The file returned is the lock, for
// the run's supervisor; the caller closes it.
func (w *Watcher) Claim(ctx context.Context, o ownership.Owner) (*os.File, error) {
	lock := handover{file: make(chan *os.File, 1)}
	err := w.Do(ctx, func(*rundir.Folder) error {
		if ctx.Err() != nil {
			return ctx.Err() // nobody would take the lock any more
		}
		if w.holding.claim == nil {
			if err := w.claim(o); err != nil {
				return err
			}
		}
		file, err := w.holding.claim.Lock()
		if err == nil {
			lock.give(file)
		}
		return err
	})
	if err != nil {
		lock.refuse()
		return nil, err
	}
	return <-lock.file, nil
}

// handover passes a file to somebody who may have stopped to wait for it: then it is
// closed, and with it the lock that it would keep.
type handover struct {
	file    chan *os.File // with room for one
	refused atomic.Bool
}

func (h *handover) give(file *os.File) {
	h.file <- file
	if h.refused.Load() {
		h.close()
	}
}

func (h *handover) refuse() {
	h.refused.Store(true)
	h.close()
}

func (h *handover) close() {
	select {
	case file := <-h.file:
		_ = file.Close()
	default:
	}
}

func (w *Watcher) claim(o ownership.Owner) (err error) {
	w.holding.claim, err = w.folder.Claim(o)
	if err == nil {
		w.holding.run = o.Run
	}
	return err
}

// Hold has the watcher see to it that the folder is held for a run that lives, and
// that its record says what o says: in its next look, and again until it succeeds.
// Where the run's supervisor holds it there is nothing to do; when it dies, Hold must
// be called again. It never blocks.
func (w *Watcher) Hold(o ownership.Owner) { w.holding.wanted.Store(&o) }

// Release is Close for a run that is over: the folder is given back.
func (w *Watcher) Release() {
	w.holding.release.Store(true)
	w.cancel()
}

// hold does what Hold asked for.
func (w *Watcher) hold() {
	h := &w.holding
	o := h.wanted.Load()
	if o == nil || h.claim == nil && time.Since(h.tried) < holdPause {
		return
	}
	err := w.holdAs(*o)
	var owned *ownership.OwnedError
	switch {
	case err == nil, errors.As(err, &owned) && owned.Locked && owned.Owner.Run == o.Run:
		h.wanted.CompareAndSwap(o, nil) // by us, or by the supervisor
		err, h.tried = nil, time.Time{}
	default:
		h.tried = time.Now()
	}
	w.publish(func(v *View) { v.Held = err })
}

func (w *Watcher) holdAs(o ownership.Owner) error {
	if w.holding.claim == nil {
		return w.claim(o)
	}
	return w.holding.claim.Update(o)
}

// keep takes the lock of a run that is over from its supervisor, which is gone: the
// next run begins when the outputs are read. Where it cannot be had, farewell is all
// that there is.
func (w *Watcher) keep() {
	h := &w.holding
	if h.claim != nil || h.run == "" {
		return
	}
	h.claim, _ = w.folder.Keep(h.run)
}

// dropClaim lets go of a hold through a descriptor that is of no use any more. The
// next look takes it again.
func (w *Watcher) dropClaim() {
	h := &w.holding
	if h.claim == nil {
		return
	}
	owner := h.claim.Owner()
	h.wanted.CompareAndSwap(nil, &owner)
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
	h.wanted.Store(nil) // opening the folder would take it once more
	err := w.wait(w.giveBack)
	if lost(err) {
		err = w.wait(w.giveBack) // through a new descriptor
	}
	w.report(err)
}

// giveBack notes in the folder that its run is over.
func (w *Watcher) giveBack() error {
	h := &w.holding
	claim := h.claim
	h.claim = nil
	switch {
	case claim != nil:
		return claim.Release()
	case h.run == "":
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	return w.folder.Leave(h.run)
}

// checkMine returns an *ownership.OwnedError where another run has the folder by now: what lies
// there is that one's.
func (w *Watcher) checkMine() error {
	if w.holding.run == "" {
		return nil
	}
	return w.folder.CheckOwner(w.holding.run)
}
