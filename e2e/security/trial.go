// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// A removal takes a defence out of the driver. Where there are two layers it takes
// out both: a test can only tell whether the attack works.
type removal struct {
	threat string // how its line of SECURITY.md begins
	name   string // what is missing then
	tests  []string
	edits  []mutant.Edit
}

func (r removal) mutant() mutant.Mutant { return mutant.Mutant{Name: r.name, Edits: r.edits} }

// removals are all there are, in the order of SECURITY.md.
var removals = slices.Concat(ofRecords, ofJobs, ofFolders, ofAccounts, ofUsers, ofProcesses, ofOutputs, ofNodes)

// A trial is a removal with its tests as the page names them.
type trial struct {
	removal removal
	threat  threat
	tests   []namedTest
}

func (r removal) trial(threats []threat) (trial, error) {
	t := trial{removal: r}
	var err error
	if t.threat, err = find(threats, r.threat); err != nil {
		return t, err
	}
	for _, name := range r.tests {
		test, err := t.threat.test(name)
		if err != nil {
			return t, err
		}
		t.tests = append(t.tests, test)
	}
	return t, nil
}

func (t trial) testNames() string {
	var names []string
	for _, n := range t.tests {
		names = append(names, n.name)
	}
	return strings.Join(names, ", ")
}

// byDir groups tests by their packages, in the order of the packages' names.
func byDir(tests []namedTest) (dirs []string, names map[string][]string) {
	names = map[string][]string{}
	for _, t := range tests {
		if !slices.Contains(names[t.dir()], t.name) {
			names[t.dir()] = append(names[t.dir()], t.name)
		}
	}
	return slices.Sorted(maps.Keys(names)), names
}

// e2eDir is the package whose tests run the plugin's binary. All others are
// compiled with the code that they test.
const e2eDir = "e2e"

// controls runs the tests of all trials on the driver as it is: they must pass.
func (o options) controls(ctx context.Context, trials []trial) error {
	var all []namedTest
	for _, t := range trials {
		all = append(all, t.tests...)
	}
	var errs []error
	dirs, names := byDir(all)
	for _, dir := range dirs {
		results, err := o.goTest(ctx, suite{dir: dir, tests: names[dir], bin: o.bin})
		if err != nil {
			return err
		}
		for _, name := range names[dir] {
			if result := results[name]; result != passed {
				errs = append(errs, fmt.Errorf("%s %s with the driver as it is", name, result))
			}
		}
		fmt.Printf("as it is: %d tests of %s run\n", len(names[dir]), dir)
	}
	return errors.Join(errs...)
}

// try takes out one defence and runs its tests; nil when each of them failed.
func (o options) try(ctx context.Context, t trial) error {
	var errs []error
	dirs, names := byDir(t.tests)
	for _, dir := range dirs {
		results, err := o.runMutant(ctx, t.removal, suite{dir: dir, tests: names[dir]})
		if err != nil {
			return err
		}
		for _, name := range names[dir] {
			if result := results[name]; result != failed {
				errs = append(errs, fmt.Errorf("%s %s without it", name, result))
			}
		}
	}
	return errors.Join(errs...)
}

// runMutant runs tests with a mistake in the code under test.
func (o options) runMutant(ctx context.Context, r removal, s suite) (map[string]result, error) {
	dir, err := os.MkdirTemp("", "security-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	module, err := mutant.Load(".")
	if err != nil {
		return nil, err
	}
	if s.dir == e2eDir {
		s.bin, err = dir, module.Bin(ctx, r.mutant(), o.bin, dir)
	} else {
		s.overlay, err = module.Overlay(r.mutant(), dir)
	}
	if err != nil {
		return nil, err
	}
	return o.goTest(ctx, s)
}
