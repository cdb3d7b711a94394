// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
)

// A fault is one way to harm the driver, its tasks or its files. It returns when
// the harm is done and undone, where it is one that ends; what follows from it, the
// checker waits for.
type fault struct {
	name   string
	weight int
	inject func(context.Context, *campaign, *rand.Rand) (what string, err error)
	// missing says why the fault cannot be injected on this machine.
	missing func(*campaign) string
}

// faults are all there are, by subject.
func allFaults() []fault {
	return slices.Concat(killFaults, raceFaults, coreFaults, logFaults, diskFaults, hangFaults, folderFaults, recordFaults, clockFaults,
		slipFaults, restartFaults, toldFaults, orphanFaults)
}

// possible returns the faults that can be injected here, and tells of the others.
func (c *campaign) possible() ([]fault, error) {
	only, err := regexp.Compile("^(?:" + c.only + ")$")
	if err != nil {
		return nil, fmt.Errorf("faults to inject: %w", err)
	}
	var here []fault
	for _, f := range allFaults() {
		if c.only != "" && !only.MatchString(f.name) {
			continue
		}
		if f.missing != nil {
			if why := f.missing(c); why != "" {
				fmt.Printf("without %q: %s\n", f.name, why)
				continue
			}
		}
		here = append(here, f)
	}
	if len(here) == 0 {
		return nil, fmt.Errorf("there is no fault %q", c.only)
	}
	return here, nil
}

func pick(faults []fault, rng *rand.Rand) fault {
	return weighted(faults, func(f fault) int { return f.weight }, rng)
}

// weighted picks one of several.
func weighted[T any](of []T, weight func(T) int, rng *rand.Rand) T {
	sum := 0
	for _, t := range of {
		sum += weight(t)
	}
	n := rng.IntN(sum)
	for _, t := range of {
		if n -= weight(t); n < 0 {
			return t
		}
	}
	return of[len(of)-1]
}
