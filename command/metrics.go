// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/exposition"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/vectors"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// metricsCall is a call of metrics.
type metricsCall struct {
	file   string
	every  time.Duration
	repeat bool // -every was given
	asJSON bool
}

func runMetrics(ctx context.Context, args []string, s streams) error {
	fs := newFlags("metrics")
	agent, newReader := readerFlags(fs)
	var call metricsCall
	fs.StringVar(&call.file, "o", "", "")
	fs.StringVar(&call.file, "textfile", "", "") // as -o was called before 0.1.0
	fs.DurationVar(&call.every, "every", 0, "")
	fs.BoolVar(&call.asJSON, "json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	fs.Visit(func(f *flag.Flag) { call.repeat = call.repeat || f.Name == "every" })
	if err := call.check(); err != nil {
		return err
	}
	r, err := newReader()
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if !call.repeat {
		return call.once(ctx, r, s)
	}
	ticker := time.NewTicker(call.every)
	defer ticker.Stop()
	tell := func(text string) { fmt.Fprintf(s.err, "%s metrics: %s\n", program, screen.Clean(text)) }
	// What is told beside the metrics, of a record that cannot be read for example, is
	// told by the first round only: who reads a log does not want it every 30 seconds.
	round := s
	exposition.Repeat(ctx, ticker.C, func(ctx context.Context) error {
		defer func() { round.err = io.Discard }()
		r.StateDir = agent.Dir() // which the plugin may tell after this began, at boot for example
		return call.once(ctx, r, round)
	}, tell)
	return nil
}

func (c *metricsCall) check() error {
	switch {
	case c.file != "" && c.asJSON:
		return usagef("give -o or -json, not both")
	case isSpecial(c.file):
		return usagef("-o %s is no regular file, and would be replaced by one; without -o the metrics are printed", c.file)
	case c.repeat && c.file == "":
		return usagef("-every goes with -o FILE, which is replaced each time")
	case c.repeat && c.every < time.Second:
		return usagef("-every %s: give 1s or more", c.every)
	}
	return nil
}

// once reads the state and writes it. Nothing is written where it cannot be read, or was
// read after the end of ctx.
func (c *metricsCall) once(ctx context.Context, r *node.Reader, s streams) error {
	state, err := r.State(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	for _, note := range state.Notes {
		fmt.Fprintf(s.err, "%s metrics: %s\n", program, screen.Clean(note))
	}
	if c.asJSON {
		return writeJSON(s.out, state.Report())
	}
	registry := prometheus.NewRegistry()
	vectors.Set(registry, state.Report())
	vectors.SetSource(registry, findVersion().Version, state.Now)
	if totals, err := history.ReadTotals(r.StateDir); err == nil {
		vectors.SetTotals(registry, totals)
	} else {
		fmt.Fprintf(s.err, "%s metrics: the counters of runs that have ended are left out: %s\n", program, screen.Clean(err.Error()))
	}
	if c.file == "" {
		return exposition.Write(s.out, registry)
	}
	if err := exposition.WriteFile(c.file, registry); err != nil {
		return fmt.Errorf("write %s: %w", c.file, err)
	}
	return nil
}
