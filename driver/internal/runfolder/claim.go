// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// Of taking a run folder.
const (
	claimPatience = 30 * time.Second       // one attempt
	claimPause    = 500 * time.Millisecond // between two
)

// Claim says how a run folder is taken.
type Claim struct {
	Path    string        // the folder's, for messages
	Vacancy time.Duration // how long another run may take to leave it
	Tell    func(string)  // tells whom it waits for, at once
}

// Take has the folder's watcher take it for a run, from whatever node the last one ran. A
// run that is there may just be ending: it is waited for a while. The file that is
// returned is the folder's lock, for the supervisor.
func (c Claim) Take(ctx context.Context, w *watch.Watcher, owner ownership.Owner) (*os.File, error) {
	vacant := time.NewTimer(c.Vacancy)
	defer vacant.Stop()
	for told := ""; ; {
		lock, err := try(ctx, w, owner)
		var owned *ownership.OwnedError
		switch {
		case err == nil:
			return lock, nil
		case !errors.As(err, &owned):
			if rundir.Unavailable(err) {
				return nil, structs.NewRecoverableError(fmt.Errorf("work_dir %s: %w", c.Path, err), true)
			}
			return nil, fmt.Errorf("work_dir: %w", err)
		case told != owned.Error():
			told = owned.Error()
			c.Tell(fmt.Sprintf("Waiting for the run folder %s: %v", c.Path, owned))
		}
		select {
		case <-ctx.Done():
			return nil, structs.NewRecoverableError(ctx.Err(), true)
		case <-vacant.C:
			return nil, structs.NewRecoverableError(fmt.Errorf("work_dir %s: %w", c.Path, err), true)
		case <-time.After(claimPause):
		}
	}
}

func try(ctx context.Context, w *watch.Watcher, owner ownership.Owner) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	return w.Claim(ctx, owner)
}
