// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/mistakes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// A mutant has this many faults to show itself, and the world this long to
// settle: with a mistake in it, it never will.
const (
	mutantSteps    = 15
	mutantPatience = 45 * time.Second
)

// runMutants runs a campaign against each mutant, and returns an error for those
// that it did not find out.
func runMutants(ctx context.Context, o options, name string) error {
	var missed []error
	found := 0
	for _, m := range mistakes.All {
		if name != "all" && name != m.Name {
			continue
		}
		fmt.Printf("=== mutant %q\n", m.Name)
		err := hunt(ctx, o, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("mutant %q: %w", m.Name, err)
			fmt.Println("!!!", err)
			missed = append(missed, err)
			continue
		}
		found++
	}
	fmt.Printf("%d mutants found out\n", found)
	if found == 0 && len(missed) == 0 {
		return fmt.Errorf("there is no mutant %q", name)
	}
	return errors.Join(missed...)
}

// hunt runs a campaign against one mutant; nil when it was found out.
func hunt(ctx context.Context, o options, m mistakes.Mistake) error {
	bin, err := os.MkdirTemp("", "faults-bin-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	module, err := mutant.Load(".")
	if err != nil {
		return err
	}
	if err := module.Bin(ctx, m.Mutant(), o.bin, bin); err != nil {
		return err
	}
	o.bin, o.only, o.jobs, o.steps, o.patience, o.quiet = bin, regexp.QuoteMeta(m.Fault), m.Job, mutantSteps, mutantPatience, true
	err = runCampaign(ctx, o)
	var lost *lostError
	switch {
	case err == nil:
		return fmt.Errorf("not found out by %d faults", o.steps)
	case !errors.As(err, &lost):
		return fmt.Errorf("the campaign failed otherwise: %w", err)
	case !slices.ContainsFunc(lost.violations, func(v check.Violation) bool { return v.Rule == m.Rule }):
		return fmt.Errorf("found out by another rule than %q: %w", m.Rule, err)
	}
	fmt.Printf("found out: %v\n", err)
	return nil
}
