// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

func TestKillUntil_TriesAgain(t *testing.T) {
	was := killPause
	t.Cleanup(func() { killPause = was })
	killPause = time.Millisecond
	h := newTold(t, state.Details{}, folderIn(t.TempDir()))
	tries := 0
	h.killUntil(t.Context(), h.gone, func(ctx context.Context) error {
		_, bounded := ctx.Deadline()
		must.True(t, bounded)
		if tries++; tries < 3 {
			return errors.New("it waits for a dead file server")
		}
		return nil
	})
	must.Eq(t, 3, tries)
	must.StrHasPrefix(t, "The solver cannot be ended yet; ", h.next(t))
	select {
	case e := <-h.events:
		t.Fatalf("said again: %s", e.Message)
	default:
	}
}

func TestKillUntil_EndsWithTheRunAndWithTheDriver(t *testing.T) {
	never := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	h := newTold(t, state.Details{}, folderIn(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.killUntil(ctx, h.gone, never) // returns

	gone := make(chan struct{})
	h.killUntil(t.Context(), gone, func(context.Context) error {
		close(gone)
		return errors.New("too late")
	})
}
