// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"fmt"
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
	}
	return report, nil
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
			err = fmt.Errorf("%s holds no LS-DYNA output: no messag, mes0000, d3hsp or stdout", folder.path)
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
