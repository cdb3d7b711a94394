// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Unclaimed is unclaimed.json: a plugin process has found the run by its record, and
// Nomad has not asked for it since. Nomad asks for all that it knows when it starts.
type Unclaimed struct {
	Since time.Time `json:"since"` // when that process found it
	By    Holder    `json:"by"`
}

// maxUnclaimed bounds what is read back, in bytes.
const maxUnclaimed = 4 << 10

// WriteUnclaimed notes that Nomad does not ask this process for the run.
func (r *Record) WriteUnclaimed(since time.Time) error {
	data, err := json.Marshal(Unclaimed{Since: since.UTC(), By: thisHolder()})
	if err != nil {
		return fmt.Errorf("encode %s: %w", durable.UnclaimedFile, err)
	}
	return durable.WriteFile(r.path(durable.UnclaimedFile), data)
}

// Claimed takes back what WriteUnclaimed noted.
func (r *Record) Claimed() error {
	if err := os.Remove(r.path(durable.UnclaimedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// IsUnclaimed reports whether a plugin process that lives was never asked for the run
// by Nomad, and since when. What a process noted that is gone says nothing: Nomad asks
// the next one.
func (r *Record) IsUnclaimed() (since time.Time, is bool) {
	data, err := durable.ReadFile(r.path(durable.UnclaimedFile), maxUnclaimed)
	if err != nil {
		return since, false
	}
	var u Unclaimed
	if json.Unmarshal(data, &u) != nil || !u.By.Process().Alive(procfs.Root) {
		return since, false
	}
	return u.Since, true
}
