// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// HistoryFile is the file in the run folder that keeps how its last runs began and
// ended. It moves with the folder, and outlives Nomad's events, records and
// allocations. It is for people: the task's user can forge it, and no more than a doubt
// comes of it.
const HistoryFile = ".lsdyna-history.json"

// Bounds of a history: runs, characters of a text, bytes of the file.
const (
	maxPastRuns = 20
	maxPastText = 500
	maxHistory  = 128 << 10
)

// History returns the last runs in the folder, the oldest first; none where nothing was
// noted.
func (f *Folder) History() ([]output.PastRun, error) {
	file, err := f.Open(HistoryFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxHistory+1))
	if err == nil && len(data) > maxHistory {
		err = errors.New("too large")
	}
	var runs []output.PastRun
	if err == nil {
		err = json.Unmarshal(data, &runs)
	}
	if err != nil {
		return nil, fmt.Errorf("read history %s: %w", file.Name(), err)
	}
	return runs[max(len(runs)-maxPastRuns, 0):], nil
}

// NoteRun notes how a run began, or how it ended: then what was noted of its beginning
// stays. A history that cannot be read begins anew, unless its file system fails.
func (f *Folder) NoteRun(p output.PastRun) error {
	runs, err := f.History()
	if Unavailable(err) {
		return err
	}
	if i := slices.IndexFunc(runs, func(r output.PastRun) bool { return r.Run == p.Run }); i >= 0 {
		p.Began, p.Restart = cmp.Or(p.Began, runs[i].Began), cmp.Or(p.Restart, runs[i].Restart)
		runs = slices.Delete(runs, i, i+1)
	}
	p.Began, p.Reason = clip(p.Began), clip(p.Reason)
	runs = append(runs, p)
	data, err := json.Marshal(runs[max(len(runs)-maxPastRuns, 0):])
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	if p.Ended == nil {
		return f.replace(HistoryFile, data, transient) // a start does not wait for the disk
	}
	return f.replace(HistoryFile, data, synced)
}

// clip cuts a long text.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if utf8.RuneCountInString(s) <= maxPastText {
		return s
	}
	return string([]rune(s)[:maxPastText]) + "…"
}
