// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// Each mistake still finds its place in the source, and makes valid Go of it.
func TestMistakes_FitTheSource(t *testing.T) {
	module, err := mutant.Load("../..")
	must.NoError(t, err)
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) { must.NoError(t, module.Fits(m.mutant())) })
	}
}
