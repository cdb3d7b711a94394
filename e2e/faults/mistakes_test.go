// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"
)

// Each mistake's text is still in the source, and what replaces it is Go.
func TestMistakes_FitTheSource(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) { must.NoError(t, mutant.Fits("../..", m.mutant())) })
	}
}
