// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"context"
	"errors"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// Wait says how a start waits for cores that Nomad has reserved for it and that another
// task has, whose cores Nomad reserved, too: Nomad's scheduler gives them to the next
// task when it has decided to stop the one that has them, not when that one has ended.
type Wait struct {
	// Patience is for a task that is not being stopped: the order to stop it may be on
	// its way.
	Patience time.Duration
	// Leaving waits, by the owner of the cores, for a task that is being stopped, however
	// long its stop may take. It returns at once where there is none, or it is not.
	Leaving func(owner string)
	// Tell makes an event of what is waited for.
	Tell func(words string)
}

// leasePause is the time between two attempts to lease cores that others have.
const leasePause = 200 * time.Millisecond

// AwaitLease is Lease with patience: where the reserved cores are another task's, it
// waits for that one. The error is an *allocator.ConflictError where it did not leave.
func (b *Binder) AwaitLease(ctx context.Context, reserved cpuset.Set, wait Wait) (allocator.Lease, error) {
	over := time.NewTimer(wait.Patience)
	defer over.Stop()
	for told := ""; ; {
		lease, err := b.Lease(reserved)
		var taken *allocator.ConflictError
		if !errors.As(err, &taken) || len(taken.Held) == 0 {
			return lease, err
		}
		if words := taken.Error(); words != told {
			told = words
			wait.Tell("Waiting: " + words)
		}
		for _, other := range taken.Held {
			wait.Leaving(other.Owner)
		}
		select {
		case <-ctx.Done():
			return lease, err
		case <-over.C:
			return b.Lease(reserved) // those that were waited for may just have left
		case <-time.After(leasePause):
		}
	}
}
