// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

func TestAwaitLease(t *testing.T) {
	over, end := context.WithCancel(context.Background())
	end()
	for name, c := range map[string]struct {
		ctx      context.Context
		patience time.Duration
		reserved string
		leaves   bool // the one that has core 0, when it is waited for
		conflict bool
		told     int
	}{
		"nobody has them":          {context.Background(), patience, "1", false, false, 0},
		"who has them leaves":      {context.Background(), patience, "0", true, false, 1},
		"who has them stays":       {context.Background(), time.Millisecond, "0", false, true, 1},
		"the driver ends":          {over, patience, "0", false, true, 1},
		"leaves as patience ends":  {context.Background(), 0, "0", true, false, 1},
		"offline, which none ends": {context.Background(), patience, "99", false, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			has, wants := n.run(1), n.run(1)
			_, err := has.binder.Lease(cpuset.Of(0))
			must.NoError(t, err)
			var told []string
			lease, err := wants.binder.AwaitLease(c.ctx, parse(t, c.reserved), Wait{
				Patience: c.patience, Tell: func(words string) { told = append(told, words) },
				Leaving: func(owner string) {
					must.Eq(t, has.dir, owner)
					if c.leaves {
						has.binder.Release()
					}
				},
			})
			must.Len(t, c.told, told)
			if c.told > 0 {
				must.Eq(t, "Waiting: core 0 is not free: 0 held by "+has.dir, told[0])
			}
			if c.conflict {
				var taken *allocator.ConflictError
				must.True(t, errors.As(err, &taken))
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.reserved, lease.CPUs.String())
		})
	}
}
