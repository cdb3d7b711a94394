// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"fmt"
	"time"
)

// A condition that nothing announces is looked at often at first and then less
// and less: each look costs the agent, which in an emulated machine has no time.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Poll looks at a condition until it holds, its check fails for good, or the
// context ends; then the error says what was seen last.
func Poll(ctx context.Context, what string, check func() (done bool, seen string, err error)) error {
	last := ""
	for pause := firstPause; ; pause = min(pause*5/4, lastPause) {
		done, seen, err := check()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if done {
			return nil
		}
		if ctx.Err() == nil || last == "" { // else the check only saw the context's end
			last = seen
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last seen: %s", what, ctx.Err(), last)
		case <-time.After(pause):
		}
	}
}
