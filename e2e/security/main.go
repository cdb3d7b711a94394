// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command security takes each defence of SECURITY.md out of the driver, and runs
// the tests that the page names for it: they must fail then. A test that passes
// without its defence is worth nothing, and neither is one that fails with it, so
// all of them run once on the driver as it is, first.
//
// It changes no file (see package mutant). It needs root, because some defences
// only are where there are users to tell apart.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

type options struct {
	bin     string
	only    *regexp.Regexp // names or threats of the removals to try
	short   bool           // without the tests with real agents
	verbose bool
}

func main() {
	o := options{only: regexp.MustCompile("")}
	flag.StringVar(&o.bin, "bin", "bin", "`directory` with nomad, nomad-driver-lsdyna and lsdyna-standin")
	flag.Func("run", "`regexp` of the mutants to try, by their names or lines in "+page, func(text string) (err error) {
		o.only, err = regexp.Compile("(?i)" + text)
		return err
	})
	flag.BoolVar(&o.short, "short", false, "leave out the tests with real agents")
	flag.BoolVar(&o.verbose, "v", false, "show what the tests say")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "security:", err)
		os.Exit(1)
	}
}

// run tries every removal that is asked for.
func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: without users to tell apart many of the tests skip")
	}
	if err := adoptStrays(); err != nil {
		return err
	}
	reaping, stop := context.WithCancel(ctx)
	reaped := make(chan struct{})
	defer func() { stop(); <-reaped }()
	go func() { defer close(reaped); reapStrays(reaping) }()
	threats, err := readPage(page)
	if err != nil {
		return err
	}
	begun := time.Now()
	chosen, err := o.choose(threats)
	if err != nil {
		return err
	}
	if err := o.controls(ctx, chosen); err != nil {
		return err
	}
	return o.tryAll(ctx, chosen, begun)
}

// choose returns what is asked for.
func (o options) choose(threats []threat) ([]trial, error) {
	var chosen []trial
	for _, r := range removals {
		if !o.only.MatchString(r.name) && !o.only.MatchString(r.threat) {
			continue
		}
		t, err := r.trial(threats)
		if err != nil {
			return nil, err
		}
		if o.short {
			t.tests = slices.DeleteFunc(t.tests, func(n namedTest) bool { return n.dir() == e2eDir })
		}
		if len(t.tests) > 0 {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("there is no such mutant")
	}
	return chosen, nil
}

// tryAll takes out one defence after the other and tells what came of it.
func (o options) tryAll(ctx context.Context, chosen []trial, begun time.Time) error {
	missed := 0
	for _, t := range chosen {
		start := time.Now()
		err := o.try(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		took := time.Since(start).Round(time.Second)
		if err != nil {
			missed++
			fmt.Printf("MISSED  %s: %s (%s)\n        %v\n", t.threat.words, t.removal.name, took, err)
			continue
		}
		fmt.Printf("caught  %s: %s: %s (%s)\n", t.threat.words, t.removal.name, t.testNames(), took)
	}
	fmt.Printf("%d mutants, %d caught, %s\n", len(chosen), len(chosen)-missed, time.Since(begun).Round(time.Second))
	if missed > 0 {
		return fmt.Errorf("%d of %d mutants were not caught", missed, len(chosen))
	}
	return nil
}
