// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Recoveries is recoveries.json: how often a plugin process has taken the run up again
// that another one had started.
type Recoveries struct {
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Words string    `json:"words"` // what was said of the last one
	Same  int       `json:"same"`  // how many in a row these words were said of
	Due   bool      `json:"due"`   // the event of the last one may not have come to Nomad
}

// maxRecoveries bounds what is read back, in bytes.
const maxRecoveries = 16 << 10

// WriteRecoveries writes recoveries.json. It is not synced: recoveries come many at a time,
// Nomad's client waits for them, and after a crash of the machine there is no run.
func (r *Record) WriteRecoveries(n Recoveries) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed {
		return fmt.Errorf("record: %w", fs.ErrNotExist)
	}
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode %s: %w", durable.RecoveriesFile, err)
	}
	path := r.path(durable.RecoveriesFile)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil { //nolint:forbidigo // need not outlive the machine
		return fmt.Errorf("record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil { //nolint:forbidigo // as above
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// ReadRecoveries reads recoveries.json; zero where nothing can be read: then they are
// counted anew.
func (r *Record) ReadRecoveries() (n Recoveries) {
	data, err := durable.ReadFile(r.path(durable.RecoveriesFile), maxRecoveries)
	if err != nil || json.Unmarshal(data, &n) != nil || n.Count < 0 || n.Same < 0 {
		return Recoveries{}
	}
	return n
}

// String says how often a run was taken up again; "" for never.
func (n Recoveries) String() string {
	times := "once"
	switch {
	case n.Count < 1:
		return ""
	case n.Count > 1:
		times = fmt.Sprintf("%d times", n.Count)
	}
	return fmt.Sprintf("taken up %s by a new plugin, last at %s", times, n.Last.Local().Format(time.DateTime))
}
