// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"fmt"
	"time"
)

// pollInterval is how often a condition is looked at that nothing announces.
const pollInterval = 50 * time.Millisecond

// Poll looks at a condition until it holds, its check fails for good, or the
// context ends; then the error says what was seen last.
func Poll(ctx context.Context, what string, check func() (done bool, seen string, err error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		done, seen, err := check()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last seen: %s", what, ctx.Err(), seen)
		case <-tick.C:
		}
	}
}
