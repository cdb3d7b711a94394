// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Report reads the folder, or the one output that is named, to its end, or until ctx
// ends. A run without an end is Unknown, or Running with an ETA if the caller knows that
// it is running.
func (f *Folder) Report(ctx context.Context, name string, running bool) (output.Report, error) {
	snapshot, err := inspectFolder(ctx, f, name)
	if err != nil {
		return output.Report{}, err
	}
	report := output.NewReport(snapshot, output.Exit{Running: running})
	if d := snapshot.LastDump(); d != nil && !f.hasDump(d.Name) {
		report.RestartFile = nil
	}
	if name == "" {
		report.LastRuns, _ = f.History() // nothing else depends on it
	}
	return report, nil
}

// inspectFolder reads the outputs of a folder, or the one file named. It returns an
// error only if nothing could be read.
func inspectFolder(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	if name != "" {
		return inspectFile(ctx, folder, name)
	}
	stdout, err := folder.findStdout()
	if err != nil {
		return output.Snapshot{}, err
	}
	follower := NewFollower(folder, FollowOptions{Stdout: stdout, anyJob: true})
	snapshot, err := follower.Drain(ctx)
	if len(snapshot.Sources) == 0 {
		if err == nil {
			err = fmt.Errorf("%s holds no LS-DYNA output: no messag, mes0000, d3hsp or stdout", folder.path)
		}
		return snapshot, err
	}
	return snapshot, ctx.Err()
}

func inspectFile(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	facts, err := folder.readWhole(ctx, name)
	if err != nil {
		return output.Snapshot{}, err
	}
	kind := lsdyna.KindStdout
	if out, ok := lsdyna.ParseOutputName(name); ok && out.Kind != lsdyna.KindDump {
		kind = out.Kind
	}
	return output.Combine([]output.Source{{Name: name, Kind: kind, Facts: facts}}), nil
}

// Bounds of the search for a stdout file of unknown name.
const (
	maxSniffed = 64
	sniffBytes = 64 << 10
)

// findStdout searches for the file that holds the solver's stdout. Whoever started
// the run chose its name. So files with usual names are opened, and the newest that
// begins like LS-DYNA's stdout is taken.
func (f *Folder) findStdout() (string, error) {
	names, err := f.list(mayBeStdout)
	if err != nil {
		return "", err
	}
	best, newest := "", time.Time{}
	for _, name := range names[:min(len(names), maxSniffed)] {
		if modified, ok := f.sniff(name); ok && (best == "" || modified.After(newest)) {
			best, newest = name, modified
		}
	}
	return cmp.Or(best, lsdyna.DefaultStdout), nil
}

func mayBeStdout(name string) bool {
	if _, known := lsdyna.ParseOutputName(name); known {
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

// sniff reports whether a file begins like LS-DYNA's stdout, and when it was last
// written to.
func (f *Folder) sniff(name string) (time.Time, bool) {
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
