// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Report is what happened in a run folder or an output file; its JSON is the
// inspect command's. What is not known is null.
type Report struct {
	Path           string       `json:"path"`
	Outcome        Kind         `json:"outcome"`
	Reason         string       `json:"reason"`
	Time           *float64     `json:"time"`     // problem time
	EndTime        *float64     `json:"end_time"` // problem time
	Cycle          *int64       `json:"cycle"`
	Version        *string      `json:"version"`
	Parallel       *Parallel    `json:"parallel"`
	Precision      *Precision   `json:"precision"`
	Processors     *int         `json:"processors"`
	Warnings       *int64       `json:"warnings"`
	Errors         *int64       `json:"errors"`
	FirstError     *SolverError `json:"first_error"`
	RestartFile    *string      `json:"restart_file"` // only when it is really there
	ElapsedSeconds *float64     `json:"elapsed_seconds"`
	ETASeconds     *float64     `json:"eta_seconds"`
}

// Inspect reads a run folder or one output file to its end, or until ctx ends.
// A run without an end is Unknown, or Running with an ETA where the caller
// knows that it lives. The path is trusted, what lies in it is not.
func Inspect(ctx context.Context, path string, running bool) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, fmt.Errorf("inspect: %w", err)
	}
	dir, name := path, ""
	if !info.IsDir() {
		dir, name = filepath.Split(path)
	}
	folder, err := OpenRunFolder(cmp.Or(dir, "."), ".")
	if err != nil {
		return Report{}, fmt.Errorf("inspect: %w", err)
	}
	defer folder.Close()
	snapshot, err := inspectFolder(ctx, folder, name)
	if err != nil {
		return Report{}, fmt.Errorf("inspect: %w", err)
	}
	report := NewReport(snapshot, Exit{Running: running})
	report.Path = path
	if d := snapshot.LastDump(); d != nil && !folder.HasDump(d.Name) {
		report.RestartFile = nil
	}
	return report, nil
}

// inspectFolder reads the outputs of a folder, or the one file named. An error
// is returned only where nothing could be read.
func inspectFolder(ctx context.Context, folder *RunFolder, name string) (Snapshot, error) {
	opts := FollowOptions{anyJob: true}
	if name != "" {
		return inspectFile(ctx, folder, name)
	}
	stdout, err := folder.findStdout()
	if err != nil {
		return Snapshot{}, err
	}
	opts.Stdout = stdout
	follower := NewFollower(folder, opts)
	snapshot, err := follower.Drain(ctx)
	if len(snapshot.Sources) == 0 {
		if err == nil {
			err = fmt.Errorf("%s holds no LS-DYNA output: no messag, mes0000, d3hsp or stdout", folder.path)
		}
		return snapshot, err
	}
	return snapshot, ctx.Err()
}

func inspectFile(ctx context.Context, folder *RunFolder, name string) (Snapshot, error) {
	facts, err := folder.readWhole(ctx, name)
	if err != nil {
		return Snapshot{}, err
	}
	kind := sourceStdout
	if out, ok := parseOutputName(name); ok && out.source != sourceDump {
		kind = out.source
	}
	return combine([]namedFacts{{name: name, kind: kind, Facts: facts}}), nil
}

// Bounds of the search for a stdout file of unknown name.
const (
	maxSniffed = 64
	sniffBytes = 64 << 10
)

// findStdout looks for the file that holds the solver's stdout. Its name is
// whatever the one who started the run chose, so files with usual names are
// opened and the newest that begins like LS-DYNA's stdout is taken.
func (f *RunFolder) findStdout() (string, error) {
	dir, err := f.Dir()
	if err != nil {
		return "", err
	}
	defer dir.Close()
	best, newest := "", time.Time{}
	sniffed := 0
	for seen := 0; seen < maxEntries && sniffed < maxSniffed; {
		batch, err := dir.Readdirnames(1024)
		seen += len(batch)
		for _, name := range batch {
			if !mayBeStdout(name) || sniffed >= maxSniffed {
				continue
			}
			sniffed++
			if modified, ok := f.sniff(name); ok && (best == "" || modified.After(newest)) {
				best, newest = name, modified
			}
		}
		if errors.Is(err, io.EOF) || len(batch) == 0 {
			break
		}
		if err != nil {
			return "", fmt.Errorf("list run folder %s: %w", f.path, err)
		}
	}
	return cmp.Or(best, DefaultStdout), nil
}

func mayBeStdout(name string) bool {
	if _, known := parseOutputName(name); known {
		return false
	}
	lower := strings.ToLower(name)
	for _, word := range []string{"stdout", ".log", ".out", "screen", "output"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return slices.Contains([]string{"out", "log", "nohup"}, lower)
}

// sniff reports whether a file begins like LS-DYNA's stdout, and its age.
func (f *RunFolder) sniff(name string) (time.Time, bool) {
	file, err := f.Open(name)
	if err != nil {
		return time.Time{}, false
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return time.Time{}, false
	}
	buf := make([]byte, sniffBytes)
	n, _ := io.ReadFull(file, buf)
	for _, mark := range []string{"|  Version :", "t e r m i n a t i o n", "Executing with "} {
		if bytes.Contains(buf[:n], []byte(mark)) {
			return state.ModTime, true
		}
	}
	return time.Time{}, false
}

// NewReport puts a snapshot and its verdict into a report without a path.
func NewReport(s Snapshot, e Exit) Report {
	o := Decide(s, e)
	r := Report{
		Outcome: o.Kind, Reason: o.Reason, FirstError: o.FirstError,
		EndTime: known(s.EndTime), Version: known(s.Version), Parallel: known(s.Parallel), Precision: known(s.Precision),
		Processors: known(s.Processors), RestartFile: known(o.RestartFile),
	}
	if s.HasTime {
		r.Time, r.Cycle = &s.Time, &s.Cycle
	}
	if len(s.Sources) > 0 {
		r.Warnings, r.Errors = &s.Warnings, &s.Errors
		if elapsed := s.Elapsed.Seconds(); s.Elapsed > 0 || s.EndBlock {
			r.ElapsedSeconds = &elapsed
		}
	}
	if o.Kind == Running && s.HasETA {
		eta := s.Remaining.Seconds()
		r.ETASeconds = &eta
	}
	return r
}

// known is nil for a zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
