// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command faults runs a campaign of faults against the driver: real Nomad
// agents, several runs of the stand-in solver at once, and in an order that a seed
// decides everything that kills, blinds or misleads a driver. After each fault a
// checker (package check) that shares no code with the driver asserts that nothing
// was lost. With -mutant it builds the driver with a mistake in it, and the
// campaign must find that.
//
// With -worlds it runs several campaigns side by side, each with a share of the faults.
//
// An interrupt (^C) ends it after the step that it is at, with the checks of an end;
// a second one at once.
//
// It needs root: it mounts, and it asks the kernel how each solver ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
)

type options struct {
	bin, decks string
	seed       uint64
	steps      int
	only       string // regular expression of the whole names of the faults to inject, "" for all
	jobs       string // kind of all jobs, "" for a mix
	setClock   bool   // may the machine's clock be set
	keep       bool
	quiet      bool            // about a failure that is expected
	patience   time.Duration   // for each thing that the campaign waits for
	enough     <-chan struct{} // closed when no further fault is wanted
}

func main() {
	hangfs.Main()
	var o options
	var mutantName string
	var worlds int
	flag.StringVar(&o.bin, "bin", "bin", "`directory` with nomad, nomad-driver-lsdyna and lsdyna-standin")
	flag.StringVar(&o.decks, "decks", filepath.Join("example", "decks"), "`directory` with the example decks")
	flag.Uint64Var(&o.seed, "seed", 1, "what decides the faults and their order")
	flag.IntVar(&o.steps, "n", 25, "`number` of faults")
	flag.IntVar(&worlds, "worlds", 1, "`number` of campaigns, side by side, into which the faults are divided")
	flag.StringVar(&o.only, "only", "", "`regexp` of the whole names of the faults to inject again and again")
	flag.StringVar(&o.jobs, "jobs", "", "`kind` of all jobs, for a closer look")
	flag.BoolVar(&o.setClock, "set-clock", false, "set this machine's clock, too: for virtual machines")
	flag.BoolVar(&o.keep, "keep", false, "keep the agents' directory in any case")
	flag.DurationVar(&o.patience, "patience", 2*time.Minute, "how long the world may take to settle after a fault, and each step of the harness")
	flag.StringVar(&mutantName, "mutant", "", "`name` of a mistake to build into the driver, or \"all\"; the campaign must find it")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o.enough = interrupted(stop)
	run := runCampaign
	if worlds > 1 {
		run = func(ctx context.Context, o options) error { return runWorlds(ctx, o, worlds) }
	}
	if mutantName != "" {
		run = func(ctx context.Context, o options) error { return runMutants(ctx, o, mutantName) }
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		stop()
		os.Exit(1)
	}
}

// interrupted returns a channel that the first interrupt closes; the second has
// everything stop.
func interrupted(stop func()) <-chan struct{} {
	interrupts, first := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		<-interrupts
		close(first)
		<-interrupts
		stop()
	}()
	return first
}

// runCampaign injects the faults and returns the first thing that was lost.
func runCampaign(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it mounts file systems and listens to the kernel's process connector")
	}
	c, err := newCampaign(ctx, o)
	if err == nil {
		err = c.run(ctx)
	}
	return errors.Join(err, c.close(err != nil))
}
