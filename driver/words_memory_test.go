// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// memory= is in words: 8 bytes each for a double precision solver, and "auto"
// takes half of resources.memory.
func TestSolverMemory_FollowsFromTheJobsAndTooMuchIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		config, want string
		says         string // "" for nothing about memory
	}{
		"auto":        {"", "memory=33554432", ""},
		"own words":   {"memory = \"20m\"", "memory=20m", ""},
		"beyond that": {"memory = \"80m\"", "memory=80m", "emory= asks for 610 MiB (double precision, 1 rank), more than the 512 MiB of resources.memory"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(standinJob("ncpu = 1\n" + c.config))
			must.SliceContains(t, r.task().Spec().Args, c.want)
			must.True(t, r.wait().Successful())
			about := 0
			for _, words := range n.said(r.id) {
				if strings.Contains(words, "emory= asks for") {
					must.StrContains(t, words, c.says)
					about++
				}
			}
			if c.says == "" {
				must.Eq(t, 0, about)
			} else {
				n.hears(r.id, c.says)
			}
		})
	}
}
