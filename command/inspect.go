// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/pages"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

func runInspect(ctx context.Context, args []string, s streams) error {
	fs := newFlags("inspect")
	running := fs.Bool("running", false, "")
	asJSON := fs.Bool("json", false, "")
	asPage := fs.Bool("html", false, "")
	out := fs.String("o", "", "")
	paths, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("name a run folder or an output file")
	}
	switch {
	case *asPage && (*asJSON || len(paths) > 1):
		return usagef("-html makes a page of one run folder or output file: name one, without -json; the page goes to standard output, or to -o FILE")
	case !*asPage && *out != "":
		return usagef("-o goes with -html")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *asPage {
		return inspectAsPage(ctx, paths[0], *running, *out, s)
	}
	reports, failed := inspectAll(ctx, paths, *running, s)
	if *asJSON {
		err = writeReports(reports, s)
	} else if len(reports) > 0 {
		out := screen.Of(s.out)
		err = write(s.out, out.Render(drawReports(reports, out)))
	}
	if err == nil && failed {
		return errAnswerNo
	}
	return err
}

// inspectAsPage writes a page about a run folder or an output file.
func inspectAsPage(ctx context.Context, path string, running bool, out string, s streams) error {
	if err := checkPageOutput(out, s); err != nil {
		return err
	}
	data, err := pages.OfPath(ctx, path, running, pageMaker())
	if err != nil {
		return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "inspect: "))
	}
	return writePage(data, out, s)
}

// inspectors is how many paths are read at a time: more for disks that are far away
// than for processors.
const inspectors = 8

// inspectAll reads all paths and writes the errors, both in the order of the paths.
func inspectAll(ctx context.Context, paths []string, running bool, s streams) (reports []output.Report, failed bool) {
	all, errs := make([]output.Report, len(paths)), make([]error, len(paths))
	var group errgroup.Group
	group.SetLimit(inspectors)
	for i, path := range paths {
		group.Go(func() error {
			all[i], errs[i] = watch.Inspect(ctx, path, running)
			return nil
		})
	}
	_ = group.Wait() // each path has its own error
	if ctx.Err() != nil {
		fmt.Fprintf(s.err, "%s inspect: interrupted\n", program)
		return nil, true
	}
	for i, path := range paths {
		if err := errs[i]; err != nil {
			failed = true
			fmt.Fprintf(s.err, "%s inspect: %s: %s\n", program, screen.Clean(path), screen.Clean(strings.TrimPrefix(err.Error(), "inspect: ")))
			continue
		}
		reports = append(reports, all[i])
	}
	return reports, failed
}

// writeReports writes one object after the other.
func writeReports(reports []output.Report, s streams) error {
	for _, r := range reports {
		r.Time, r.EndTime = finite(r.Time), finite(r.EndTime)
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("encode JSON: %w", err)
		}
		if err := write(s.out, string(data)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// finite is nil for what JSON cannot hold.
func finite(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

// drawReports draws a table of all paths, and below what each has to tell.
func drawReports(reports []output.Report, out screen.Screen) []screen.Line {
	t := screen.Table{Columns: []screen.Column{
		{Title: "PATH", Keep: true, Least: 12},
		{Title: "OUTCOME", Keep: true},
		{Title: "TIME", Right: true, Rank: 8},
		{Title: "END TIME", Right: true, Rank: 7},
		{Title: "DONE", Right: true, Keep: true},
		{Title: "CYCLE", Right: true, Rank: 3},
		{Title: "ELAPSED", Right: true, Rank: 5},
		{Title: "ETA", Right: true, Rank: 6},
		{Title: "BETWEEN"},
		{Title: "ERRORS", Right: true, Rank: 4},
		{Title: "WARNINGS", Right: true, Rank: 2},
	}}
	for _, r := range reports {
		t.Rows = append(t.Rows, reportRow(r))
	}
	lines := t.Fit(out.Width)
	for _, r := range reports {
		lines = append(lines, nil)
		if len(reports) > 1 {
			lines = append(lines, screen.Styled(screen.Bold, screen.Clean(r.Path)))
		}
		for _, text := range describeReport(r) {
			lines = append(lines, screen.Wrap(screen.Clean(text), out.Width, 2)...)
		}
	}
	return lines
}

func reportRow(r output.Report) []screen.Line {
	row := []screen.Line{
		screen.Text(screen.Clean(r.Path)), screen.Styled(outcomeStyle(r.Outcome), string(r.Outcome)),
		screen.Text(screen.Float(r.Time)), screen.Text(screen.Float(r.EndTime)), screen.Text("-"), screen.Text(screen.Number(r.Cycle)),
		screen.Text(screen.Seconds(r.ElapsedSeconds)), screen.Text(screen.Seconds(r.ETASeconds)), screen.Text(screen.Between(r.ETALowSeconds, r.ETAHighSeconds)),
		screen.Text(screen.Number(r.Errors)), screen.Text(screen.Number(r.Warnings)),
	}
	if r.Time != nil && r.EndTime != nil && *r.EndTime > 0 && !r.Relaxing {
		row[4] = screen.Text(fmt.Sprintf("%.0f %%", 100**r.Time / *r.EndTime))
	}
	return row
}

func outcomeStyle(kind output.Kind) screen.Style {
	switch kind {
	case output.Completed:
		return screen.Green
	case output.Running:
		return screen.Cyan
	case output.Stopped, output.Unknown:
		return screen.Yellow
	}
	return screen.Red
}

// describeReport says what a table has no room for.
func describeReport(r output.Report) []string {
	lines := []string{r.Reason}
	if r.LivesBy != nil {
		lines = append(lines, *r.LivesBy)
	}
	switch {
	case r.ETASeconds != nil:
		lines = append(lines, fmt.Sprintf("about %s left (%s to %s)", screen.Seconds(r.ETASeconds), screen.Seconds(r.ETALowSeconds), screen.Seconds(r.ETAHighSeconds)))
	case r.NoETA != nil:
		lines = append(lines, "no estimate of the time left: "+*r.NoETA)
	}
	var solver []string
	if r.Version != nil {
		solver = append(solver, "LS-DYNA "+*r.Version)
	}
	if r.Parallel != nil {
		solver = append(solver, strings.ToUpper(string(*r.Parallel)))
	}
	if r.Precision != nil {
		solver = append(solver, string(*r.Precision)+" precision")
	}
	if r.Processors != nil {
		solver = append(solver, screen.Plural(*r.Processors, "processor"))
	}
	if len(solver) > 0 {
		lines = append(lines, strings.Join(solver, ", "))
	}
	if r.FirstError != nil && !strings.Contains(r.Reason, r.FirstError.String()) {
		lines = append(lines, "first error: "+r.FirstError.String())
	}
	if r.RestartFile != nil {
		lines = append(lines, "restart file: "+*r.RestartFile)
	}
	for _, text := range []*string{r.NodesText, r.NodesStop} {
		if text != nil {
			lines = append(lines, *text)
		}
	}
	lines = append(lines, describeHealth(r.Health)...)
	for _, run := range r.LastRuns {
		lines = append(lines, "run of "+run.String())
	}
	return lines
}

// describeHealth says how a run does, or did: what is out of the ordinary, and the most
// frequent warnings.
func describeHealth(h *health.Health) []string {
	if h == nil {
		return nil
	}
	var lines, energies []string
	add := func(v *float64, format string) {
		if v != nil {
			energies = append(energies, fmt.Sprintf(format, *v))
		}
	}
	add(h.Ratio, "energy ratio %.4g")
	add(h.HourglassPercent, "hourglass energy %.3g %%")
	add(h.MassPercent, "added mass %.3g %%")
	add(h.Dt, "time step %.3g")
	if len(energies) > 0 && h.Time != nil {
		lines = append(lines, fmt.Sprintf("at t = %.4g: %s", *h.Time, strings.Join(energies, ", ")))
	}
	for _, note := range h.Notes {
		lines = append(lines, "out of the ordinary: "+note)
	}
	for _, kind := range h.Kinds {
		lines = append(lines, fmt.Sprintf("%s: %d (%s) %s", screen.Plural(int(kind.Count), "warning"), kind.Code, kind.Class, kind.Text))
	}
	return lines
}
