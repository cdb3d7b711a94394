// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Folder is a run folder as the runs see it that want it. It belongs to one goroutine.
type Folder struct {
	*rundir.Folder

	// Farewell is how long a run that is over, but has not said so, keeps the folder
	// from others; 0: not at all.
	Farewell time.Duration

	over sighting // the last run that was found over
}

// Of returns an open run folder as a Folder without a Farewell.
func Of(f *rundir.Folder) *Folder { return &Folder{Folder: f} }
