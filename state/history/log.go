// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package history keeps how the runs of a node ended, for months after Nomad has
// forgotten them: one line of JSON for each, below state_dir.
//
// history/runs-000007.jsonl is the newest file of several. One that is full is followed
// by the next, and the oldest is removed. What all of them came to, those that were
// removed too, is kept in history/totals.json: it counts the files up to one that is full,
// and who wants the sum adds the lines behind. So a run counts once, whenever the plugin
// is killed, and the sums never fall.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// The folder below state_dir, and its files.
const (
	dirName    = "history"
	totalsName = "totals.json"
	filePrefix = "runs-"
	fileSuffix = ".jsonl"
)

// Bounds of what is kept. A line has some 700 bytes, so these are the last 40,000 runs.
const (
	maxFileBytes = 1 << 20
	maxFiles     = 32
	maxWaiting   = 1000 // runs whose end cannot be written now
)

// Log writes the history of a node. There is one for each state_dir, by the plugin that
// has it. Its methods may be called concurrently.
type Log struct {
	mu       sync.Mutex // guards what follows, and is held while a line is written
	dir      string     // "" before Open
	newest   int        // number of the file that is written to
	size     int64      // of it
	torn     bool       // it ends in the middle of a line
	waiting  []waiting
	maxBytes int64 // of a file
	maxFiles int
}

// waiting is an entry that is not written yet.
type waiting struct {
	entry Entry
	maybe bool // it may have been noted by an earlier plugin
}

// NewLog returns a Log that keeps what it is told until it is opened.
func NewLog() *Log { return &Log{maxBytes: maxFileBytes, maxFiles: maxFiles} }

// Open has the log write below a state_dir that this process has.
func (l *Log) Open(stateDir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == "" {
		if err := l.open(filepath.Join(stateDir, dirName)); err != nil {
			return err
		}
	}
	return l.flush()
}

// open finds the file to write to. An earlier plugin may have been killed anywhere.
func (l *Log) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	files, err := list(dir)
	if err != nil {
		return err
	}
	t, err := readTotals(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; move the file away, and sums begin with what %s still holds", err, dir)
	}
	l.newest = t.Through + 1 // what totals count is not added to
	if len(files) > 0 {
		l.newest = max(l.newest, files[len(files)-1])
	}
	data, err := durable.ReadFile(filePath(dir, l.newest), readable)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open history: %w", err)
	}
	l.size, l.torn = int64(len(data)), len(data) > 0 && data[len(data)-1] != '\n'
	l.dir = dir
	return nil
}

// Note notes how a run ended. maybe says that an earlier plugin process may have done so
// already: then it is looked for. What cannot be written now is kept for Flush, and the
// error says why.
func (l *Log) Note(e Entry, maybe bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == maxWaiting {
		return fmt.Errorf("note the end of %s: %d others wait to be written already", e.Run, maxWaiting)
	}
	l.waiting = append(l.waiting, waiting{e, maybe})
	return l.flush()
}

// Flush writes what could not be written before.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush()
}

func (l *Log) flush() error {
	if l.dir == "" {
		return nil
	}
	for len(l.waiting) > 0 {
		w := l.waiting[0]
		if w.maybe {
			is, err := l.has(w.entry.Run)
			if err != nil {
				return err
			}
			if is {
				l.waiting = l.waiting[1:]
				continue
			}
		}
		line, err := w.entry.encode()
		if err == nil {
			if err := l.write(line); err != nil {
				return fmt.Errorf("note the end of %s: %w", w.entry.Run, err)
			}
		}
		l.waiting = l.waiting[1:]
		if err != nil {
			return err // it never could be written
		}
	}
	return nil
}

// write writes a line.
func (l *Log) write(line []byte) error {
	if l.size > 0 && l.size+int64(len(line)) >= l.maxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	if err := durable.Append(filePath(l.dir, l.newest), line); err != nil {
		return err
	}
	l.size += int64(len(line))
	l.torn = false
	return nil
}

// rotate begins a new file: the sums have the full one first, and then the oldest is
// removed.
func (l *Log) rotate() error {
	t, err := sum(l.dir)
	if err != nil {
		return err
	}
	t.Through = l.newest
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode %s: %w", totalsName, err)
	}
	if err := durable.WriteFile(filepath.Join(l.dir, totalsName), append(data, '\n')); err != nil {
		return err
	}
	l.newest, l.size, l.torn = l.newest+1, 0, false
	files, err := list(l.dir)
	if err != nil {
		return err
	}
	for _, n := range files[:max(len(files)-l.maxFiles+1, 0)] {
		if err := os.Remove(filePath(l.dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove old history: %w", err)
		}
	}
	return nil
}

// has reports whether a run was noted, the newest file first.
func (l *Log) has(run string) (bool, error) {
	files, err := list(l.dir)
	if err != nil {
		return false, err
	}
	name, err := json.Marshal(run)
	if err != nil {
		return false, fmt.Errorf("look for %s in the history: %w", run, err)
	}
	for _, n := range slices.Backward(files) {
		data, err := durable.ReadFile(filePath(l.dir, n), readable)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look for %s in the history: %w", run, err)
		}
		if !bytes.Contains(data, name) {
			continue
		}
		for line := range bytes.Lines(data) {
			if e, ok := decode(line); ok && e.Run == run {
				return true, nil
			}
		}
	}
	return false, nil
}

// list returns the numbers of the files, the oldest first.
func list(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list history: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), fileSuffix), filePrefix)
		if n, err := strconv.Atoi(digits); ok && err == nil && n > 0 && e.Name() == filepath.Base(filePath(dir, n)) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func filePath(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("%s%06d%s", filePrefix, n, fileSuffix))
}
