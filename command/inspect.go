// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

const inspectHelp = `USAGE
  nomad-driver-lsdyna inspect PATH... [-running] [-json]

DESCRIPTION
  Says what happened in a run folder, or by one output file of LS-DYNA (stdout,
  messag, mes0000, d3hsp, status.out). It works on any run, also one that Nomad
  knows nothing of.

  The outcome is completed only where LS-DYNA says so and its end time was
  reached; stopped (a sense switch, or an end before the end time), error,
  license, killed, running, or unknown where the outputs simply end.

OPTIONS
  -running  The run is alive: outputs without an end are running, with an
            estimate of the time left, instead of unknown.
  -json     One object for each path, in the order given: path, outcome, reason,
            time, end_time, cycle, version, parallel, precision, processors,
            warnings, errors, first_error (code, class, text), restart_file,
            elapsed_seconds, eta_seconds. What is not known is null.

EXIT STATUS
  0 when every path was read, whatever happened there; 1 when one could not be
  read; 2 for a wrong call.

EXAMPLES
  nomad-driver-lsdyna inspect /scratch/crash/run7
  nomad-driver-lsdyna inspect /scratch/crash/run*/messag -json | jq .outcome
`

func runInspect(ctx context.Context, args []string, s streams) error {
	fs := newFlags("inspect")
	running := fs.Bool("running", false, "")
	asJSON := fs.Bool("json", false, "")
	paths, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("name a run folder or an output file")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var reports []output.Report
	failed := false
	for _, path := range paths {
		report, err := rundir.Inspect(ctx, path, *running)
		if err != nil {
			failed = true
			fmt.Fprintf(s.err, "%s inspect: %s: %s\n", program, clean(path), clean(strings.TrimPrefix(err.Error(), "inspect: ")))
			continue
		}
		reports = append(reports, report)
	}
	if *asJSON {
		err = writeReports(reports, s)
	} else if len(reports) > 0 {
		screen := screenOf(s.out)
		err = write(s.out, screen.render(drawReports(reports, screen)))
	}
	if err == nil && failed {
		return errAnswerNo
	}
	return err
}

// writeReports writes one object after the other.
func writeReports(reports []output.Report, s streams) error {
	for _, r := range reports {
		r.Time, r.EndTime = finiteOf(r.Time), finiteOf(r.EndTime)
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

func finiteOf(v *float64) *float64 {
	if v == nil {
		return nil
	}
	return finite(*v, true)
}

// drawReports draws a table of all paths, and below what each has to tell.
func drawReports(reports []output.Report, screen screen) []line {
	t := table{columns: []column{
		{title: "PATH", keep: true, least: 12}, {title: "OUTCOME", keep: true},
		{title: "TIME", right: true, rank: 8}, {title: "END TIME", right: true, rank: 7},
		{title: "DONE", right: true, keep: true}, {title: "CYCLE", right: true, rank: 3},
		{title: "ELAPSED", right: true, rank: 5}, {title: "ETA", right: true, rank: 6},
		{title: "ERRORS", right: true, rank: 4}, {title: "WARNINGS", right: true, rank: 2},
	}}
	for _, r := range reports {
		t.rows = append(t.rows, reportRow(r))
	}
	lines := t.lay(screen.width)
	for _, r := range reports {
		lines = append(lines, nil)
		if len(reports) > 1 {
			lines = append(lines, line{{clean(r.Path), bold}})
		}
		for _, words := range reportWords(r) {
			lines = append(lines, wrap(clean(words), screen.width, 2)...)
		}
	}
	return lines
}

func reportRow(r output.Report) []line {
	row := []line{
		text(clean(r.Path)), {{string(r.Outcome), outcomeStyle(r.Outcome)}},
		text(float(r.Time)), text(float(r.EndTime)), text("-"), text(number(r.Cycle)),
		text(secondsOf(r.ElapsedSeconds)), text(secondsOf(r.ETASeconds)), text(number(r.Errors)), text(number(r.Warnings)),
	}
	if r.Time != nil && r.EndTime != nil && *r.EndTime > 0 {
		row[4] = text(fmt.Sprintf("%.0f %%", 100**r.Time / *r.EndTime))
	}
	return row
}

func outcomeStyle(kind output.Kind) style {
	switch kind {
	case output.Completed:
		return green
	case output.Running:
		return cyan
	case output.Stopped, output.Unknown:
		return yellow
	}
	return red
}

// reportWords are what a table has no room for.
func reportWords(r output.Report) []string {
	words := []string{r.Reason}
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
		solver = append(solver, plural(*r.Processors, "processor"))
	}
	if len(solver) > 0 {
		words = append(words, strings.Join(solver, ", "))
	}
	if r.FirstError != nil && !strings.Contains(r.Reason, r.FirstError.String()) {
		words = append(words, "first error: "+r.FirstError.String())
	}
	if r.RestartFile != nil {
		words = append(words, "restart file: "+*r.RestartFile)
	}
	return words
}

func float(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

func secondsOf(v *float64) string {
	if v == nil {
		return "-"
	}
	return duration(time.Duration(*v * float64(time.Second)))
}
