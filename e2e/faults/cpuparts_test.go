// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

func TestAllGivenUp(t *testing.T) {
	given := check.Alloc{Job: "1-ok", Events: []string{`Setup Failure: failed to setup alloc: pre-run hook "cpuparts_hook" failed: cgroupslib: unable to update`}}
	another := check.Alloc{Job: "2-ok", Events: given.Events}
	fine := check.Alloc{Job: "2-ok", Events: []string{"Started: Task started by client"}}
	both := []*job{{name: "1-ok"}, {name: "2-ok"}}
	for name, c := range map[string]struct {
		allocs []check.Alloc
		fresh  []*job
		want   bool
	}{
		"each":         {[]check.Alloc{given, another}, both, true},
		"one of two":   {[]check.Alloc{given, fine}, both, false},
		"none":         {[]check.Alloc{fine}, both[1:], false},
		"an old one":   {[]check.Alloc{given, fine}, both[1:], false},
		"no fresh job": {[]check.Alloc{given}, nil, false},
		"not placed":   {nil, both, false},
	} {
		t.Run(name, func(t *testing.T) {
			must.Eq(t, c.want, allGivenUp(&check.World{Allocs: c.allocs}, c.fresh))
		})
	}
}

func TestUnblockIfStuck_hasABound(t *testing.T) {
	c := &campaign{world: &check.World{Allocs: []check.Alloc{{Job: "1-ok", Events: []string{"Setup Failure: failed to setup alloc: x"}}}}}
	c.blocks.inARow = mostInARow
	must.ErrorIs(t, c.unblockIfStuck(t.Context(), []*job{{name: "1-ok"}}), errBlocked)
	must.NoError(t, c.unblockIfStuck(t.Context(), nil))
	must.Zero(t, c.blocks.inARow)
}

func TestRemoveForgotten(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"over.lsdyna", "lives.lsdyna", "busy.lsdyna", "other"} {
		must.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	must.NoError(t, os.WriteFile(filepath.Join(dir, "cpuset.cpus"), nil, 0o600))
	// As the kernel does with a cgroup that has a process: it is not removed.
	must.NoError(t, os.WriteFile(filepath.Join(dir, "busy.lsdyna", "cpuset.cpus"), []byte("0\n"), 0o600))
	removed, err := removeForgotten(dir, func(alloc string) bool { return alloc == "lives" })
	must.ErrorContains(t, err, "busy.lsdyna")
	must.Eq(t, []forgottenCpuset{{name: "over.lsdyna"}}, removed)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 4, entries)

	removed, err = removeForgotten(filepath.Join(dir, "none"), nil) // with cgroups v2
	must.NoError(t, err)
	must.SliceEmpty(t, removed)
}

// A job that Nomad gave up and has collected is placed nowhere any more.
func TestPlaced_notOnceItIsCollected(t *testing.T) {
	c, fresh := &campaign{}, []*job{{name: "1-ok"}, {name: "2-ok"}}
	markOver(&check.World{Allocs: []check.Alloc{{Job: "1-ok", Status: "failed"}, {Job: "2-ok", Status: "running"}}}, fresh)
	pending := c.placed(&check.World{}, fresh)
	must.Len(t, 1, pending)
	must.Eq(t, "2-ok", pending[0].Evidence)
}

func TestBlocks_AreTold(t *testing.T) {
	must.Eq(t, "", blocks{}.line())
	must.StrContains(t, blocks{all: 2, cpusets: 3, withCores: 1}.line(), "nothing 2 times: 3 cpusets")
}
