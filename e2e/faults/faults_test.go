// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/mistakes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// What brings a mistake out is a fault that there is.
func TestMistakes_NameFaults(t *testing.T) {
	for _, m := range mistakes.All {
		named := m.Fault == "" || slices.ContainsFunc(allFaults(), func(f fault) bool { return f.name == m.Fault })
		must.True(t, named, must.Sprint(m.Name))
	}
}

func TestFaults_HaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range allFaults() {
		must.False(t, seen[f.name], must.Sprint(f.name))
		must.Positive(t, f.weight, must.Sprint(f.name))
		seen[f.name] = true
	}
}

// Each mistake still finds its place in the source, and makes valid Go of it.
func TestMistakes_FitTheSource(t *testing.T) {
	module, err := mutant.Load("../..")
	must.NoError(t, err)
	for _, m := range mistakes.All {
		t.Run(m.Name, func(t *testing.T) { must.NoError(t, module.Fits(m.Mutant())) })
	}
}
