// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestPatience_Read(t *testing.T) {
	untilEnd := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	nothing := func() int64 { return 0 }
	forever := Patience{Silent: time.Hour, Whole: time.Hour, Report: time.Hour}
	t.Run("a file system that answers nothing is given up", func(t *testing.T) {
		p := forever
		p.Silent = time.Millisecond
		cause, err := p.Read(t.Context(), nothing, func() {}, untilEnd)
		must.ErrorIs(t, cause, ErrSilent)
		must.ErrorIs(t, err, context.Canceled)
	})
	t.Run("one that answers is not, but in the end", func(t *testing.T) {
		p := forever
		p.Silent, p.Whole = time.Millisecond, 50*time.Millisecond
		var steps atomic.Int64
		cause, _ := p.Read(t.Context(), func() int64 { return steps.Add(1) }, func() {}, untilEnd)
		must.ErrorIs(t, cause, ErrSlow)
	})
	t.Run("reports", func(t *testing.T) {
		p := forever
		p.Report = time.Millisecond
		told := make(chan struct{})
		var once atomic.Bool
		cause, err := p.Read(t.Context(), nothing, func() {
			if !once.Swap(true) {
				close(told)
			}
		}, func(context.Context) error { <-told; return nil })
		must.NoError(t, errors.Join(cause, err))
	})
	t.Run("the driver ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cause, err := forever.Read(ctx, nothing, func() {}, func(ctx context.Context) error { cancel(); return untilEnd(ctx) })
		must.ErrorIs(t, cause, context.Canceled)
		must.ErrorIs(t, err, context.Canceled)
	})
}
