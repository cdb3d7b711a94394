// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Bounds of what is read, in bytes.
const (
	readable  = 2 * maxFileBytes // a file
	maxTotals = 64 << 10
)

// Runs are what a history holds.
type Runs struct {
	Entries []Entry // in the order in which they were noted
	Damaged int     // lines that cannot be read, as after a power cut
}

// Read reads the history below a state_dir, also while a plugin writes it. There is none
// where no run has ended yet.
func Read(stateDir string) (Runs, error) {
	var runs Runs
	dir := filepath.Join(stateDir, dirName)
	files, err := list(dir)
	if err != nil {
		return runs, err
	}
	for _, n := range files {
		if err := runs.add(dir, n); err != nil {
			return runs, err
		}
	}
	return runs, nil
}

// add adds the lines of one file. One that was just removed has none.
func (r *Runs) add(dir string, n int) error {
	data, err := durable.ReadFile(filePath(dir, n), readable)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	for line := range bytes.Lines(data) {
		switch e, ok := decode(line); {
		case ok:
			r.Entries = append(r.Entries, e)
		case len(bytes.TrimSpace(line)) > 0:
			r.Damaged++
		}
	}
	return nil
}

// Total is what the runs with one outcome came to.
type Total struct {
	Runs        int64   `json:"runs"`
	CoreSeconds float64 `json:"core_seconds"`
}

// Totals are sums over all runs since the history began, also over those whose lines were
// removed.
type Totals struct {
	Version  int              `json:"version"`
	Through  int              `json:"through"`  // number of the last file that they count
	Outcomes map[string]Total `json:"outcomes"` // by outcome
}

const totalsVersion = 1

// ReadTotals returns the sums over all runs that ended on this node, also while a plugin
// notes them.
func ReadTotals(stateDir string) (Totals, error) { return sum(filepath.Join(stateDir, dirName)) }

// sum adds to the kept totals what the files behind them hold.
func sum(dir string) (Totals, error) {
	t, err := readTotals(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	files, err := list(dir)
	if err != nil {
		return t, err
	}
	for _, n := range files {
		if n <= t.Through {
			continue
		}
		var runs Runs
		if err := runs.add(dir, n); err != nil {
			return t, err
		}
		for i := range runs.Entries {
			t.add(&runs.Entries[i])
		}
	}
	return t, nil
}

func (t *Totals) add(e *Entry) {
	total := t.Outcomes[e.Outcome]
	if e.Leads() {
		total.Runs++
	}
	total.CoreSeconds += max(e.CoreSeconds, 0)
	t.Outcomes[e.Outcome] = total
}

// readTotals reads what is kept; the error wraps os.ErrNotExist where nothing is.
func readTotals(dir string) (Totals, error) {
	none := Totals{Version: totalsVersion, Outcomes: map[string]Total{}}
	path := filepath.Join(dir, totalsName)
	data, err := durable.ReadFile(path, maxTotals)
	if err != nil {
		return none, fmt.Errorf("read history: %w", err)
	}
	t := Totals{}
	if err := json.Unmarshal(data, &t); err != nil {
		return none, fmt.Errorf("read history: %s is damaged: %w", path, err)
	}
	if t.Version < 1 || t.Version > totalsVersion {
		return none, fmt.Errorf("read history: %s has version %d, which this plugin does not know", path, t.Version)
	}
	if t.Outcomes == nil {
		t.Outcomes = map[string]Total{}
	}
	return t, nil
}
