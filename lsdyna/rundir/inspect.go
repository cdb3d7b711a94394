// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/sniff"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
)

// Report reads the folder, or the one output that is named, to its end, or until ctx
// ends. A run without an end is Unknown, or Running with an ETA if the caller knows that
// it is running.
func (f *Folder) Report(ctx context.Context, name string, running bool) (output.Report, error) {
	snapshot, err := inspectFolder(ctx, f, name)
	foreign := errors.Is(err, errForeign)
	if err != nil && !foreign {
		return output.Report{}, err
	}
	report := output.NewReport(snapshot, output.Exit{Running: running})
	if foreign {
		report.Outcome, report.Reason = output.Unknown, "unknown: "+errForeign.Error()
	}
	var now time.Time
	if report.Outcome == output.Running {
		now = time.Now()
	}
	health := snapshot.Health(now)
	report.Health = &health
	if d := snapshot.LastDump(); d != nil {
		report.RestartFile = f.dumpFor(d.Name, snapshot)
	}
	if name == "" {
		report.LastRuns, _ = f.History() // nothing else depends on it
		takeNoted(&report)
	}
	return report, nil
}

// notedLater is how much newer than the end of a run its outputs may be: the clock of a
// file server is not that of the node.
const notedLater = time.Minute

// notable are the outcomes that the driver knows by more than the outputs.
var notable = []output.Kind{output.Stopped, output.Failed, output.LicenceError, output.Killed, output.Unknown}

// takeNoted takes what the driver noted of the end of the folder's newest run where the
// outputs do not tell it: its exit, by which the driver decided. That a run was completed
// is not taken: only LS-DYNA's own words say so, and the task's user can write the file.
func takeNoted(r *output.Report) {
	if len(r.LastRuns) == 0 {
		return
	}
	last := r.LastRuns[len(r.LastRuns)-1]
	if last.Ended == nil || last.Reason == "" || r.Snapshot.Written.After(last.Ended.Add(notedLater)) {
		return
	}
	reason := sanitize.Line([]byte(last.Reason), maxPastText)
	switch {
	case r.Outcome == output.Unknown && slices.Contains(notable, last.Outcome),
		r.Outcome == output.Stopped && last.Outcome == output.Stopped && strings.HasPrefix(reason, ended.ByWatch):
		r.Outcome, r.Reason = last.Outcome, reason
	}
}

// inspectFolder reads the outputs of a folder, or the one file named. It returns an
// error only if nothing could be read.
func inspectFolder(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	if name != "" {
		return inspectFile(ctx, folder, name)
	}
	found, err := folder.findStreams()
	if err != nil {
		return output.Snapshot{}, err
	}
	follower := NewFollower(folder, FollowOptions{Stdout: found.stdout, Stderr: found.stderr, anyJob: true})
	snapshot, err := follower.Drain(ctx)
	if len(snapshot.Sources) == 0 {
		if err == nil {
			err = errors.New("it holds no LS-DYNA output: no messag, mes0000, d3hsp or stdout; folders and compressed files in it are not looked at")
		}
		return snapshot, err
	}
	return snapshot, ctx.Err()
}

func inspectFile(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	kind := lsdyna.KindStdout
	if out, ok := lsdyna.ParseOutputName(name); ok && out.Kind != lsdyna.KindDump {
		kind = out.Kind
	}
	src, err := folder.readAs(ctx, kind, name)
	if err != nil {
		return output.Snapshot{}, err
	}
	var sources []output.Source
	if src.reader != nil {
		sources = append(sources, output.Source{Name: name, Kind: kind, Facts: src.reader.Final()})
	}
	if _, usual := lsdyna.MayBeStdout(name); kind == lsdyna.KindStdout && !usual && !sniff.Tells(&sources[0].Facts) {
		return output.Snapshot{Sources: []string{name}, Written: src.modified}, errForeign // its last line tells nothing
	}
	if kind == lsdyna.KindStdout && sources[0].Banner == output.NoBanner {
		sources = append(sources, folder.readStderr(ctx, name)...)
	}
	s := output.Combine(sources)
	s.Written = src.modified
	if src.stats != nil {
		s.Energies = src.stats.Stats()
	}
	return s, nil
}

// errForeign: the one file that was named is none of LS-DYNA's outputs, but a deck, or a
// compressed one.
var errForeign = errors.New("it holds nothing that LS-DYNA prints: name the run folder, or its stdout, messag, mes0000, d3hsp or status.out; unpack a compressed one first")

// readStderr reads the file with the stderr of a run, which its name beside that of
// stdout shows, if there is one.
func (f *Folder) readStderr(ctx context.Context, stdout string) []output.Source {
	for _, name := range lsdyna.StderrNames(stdout) {
		if facts, err := f.readWhole(ctx, name); err == nil && facts.Around() {
			return []output.Source{{Name: name, Kind: lsdyna.KindStderr, Facts: facts}}
		}
	}
	return nil
}
