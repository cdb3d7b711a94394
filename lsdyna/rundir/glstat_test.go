// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
)

// statistics is a block of a glstat.
func statistics(t, ratio float64) string {
	row := func(name string, v float64) string {
		return fmt.Sprintf(" %s%s%14.5E\n", name, strings.Repeat(".", 31-len(name)), v)
	}
	return "\n\n dt of cycle       7 is controlled by shell           4711 of part        12\n\n" +
		row("time", t) + row("time step", 1e-6) + row("kinetic energy", 900) + row("internal energy", 100) + row("total energy", 1000) + row("total energy / initial energy", ratio)
}

// ratioOf is the newest energy ratio; 0 where there is none.
func ratioOf(s output.Snapshot) float64 {
	p, _ := s.Energies.Value(glstat.Ratio)
	return p.Value
}

func TestFollower_globalStatistics(t *testing.T) {
	for name, c := range map[string]struct {
		o     FollowOptions
		files files
		want  float64
	}{
		"of the run":                      {FollowOptions{}, files{"glstat": statistics(0, 1) + statistics(0.1, 1.2)}, 1.2},
		"with its jobid":                  {FollowOptions{JobID: "crash7"}, files{"crash7.glstat": statistics(0, 1.3)}, 1.3},
		"not of another job":              {FollowOptions{JobID: "crash7"}, files{"crash8.glstat": statistics(0, 1.3)}, 0},
		"of the last restart by its name": {FollowOptions{}, files{"glstat": statistics(0, 1.1), "glstat01": statistics(0.1, 1.4)}, 1.4},
		"binary ones, in d3hsp":           {FollowOptions{}, files{"d3hsp": " time...........................   9.00000E+00\n" + statistics(0, 1) + statistics(0.1, 1.5)}, 1.5},
		"the ASCII file before d3hsp":     {FollowOptions{}, files{"glstat": statistics(0, 1.2), "d3hsp": statistics(0, 1.5)}, 1.2},
		"none":                            {FollowOptions{}, files{"stdout": " *** Warning 1 (KEY+1)\n"}, 0},
		"a file that only has its name":   {FollowOptions{}, files{"glstat": "1\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			folder := openFolder(t, fill(t, c.files))
			must.Eq(t, c.want, ratioOf(poll(t, NewFollower(folder, c.o))))
		})
	}
}

func TestFollower_globalStatisticsAsTheyGrow(t *testing.T) {
	dir := t.TempDir()
	follower := NewFollower(openFolder(t, dir), FollowOptions{})
	must.Eq(t, 0, ratioOf(poll(t, follower)))
	path := write(t, dir, "glstat", statistics(0, 1))
	must.Eq(t, 1, ratioOf(poll(t, follower)))
	block := statistics(0.1, 1.2)
	appendTo(t, path, block[:100])
	must.Eq(t, 1, ratioOf(poll(t, follower)))
	appendTo(t, path, block[100:])
	s := poll(t, follower)
	must.Eq(t, 1.2, ratioOf(s))
	must.Eq(t, 2, s.Energies.Blocks)
	must.False(t, s.Written.IsZero())
	must.Less(t, time.Hour, time.Since(s.Written))
}

// A restart goes on in the file, behind what was there or from its dump on; what stands
// there from before is not told as this run's.
func TestFollower_globalStatisticsAfterARestart(t *testing.T) {
	old := statistics(0, 1) + statistics(0.1, 1.1) + statistics(0.2, 5)
	for name, c := range map[string]struct {
		now    string
		want   float64
		blocks int64
	}{
		"nothing written yet":         {old, 0, 0},
		"appended":                    {old + statistics(0.15, 1.3), 1.3, 1},
		"cut to its dump, and longer": {statistics(0, 1) + statistics(0.1, 1.1) + strings.Replace(statistics(0.2, 1.4), "4711", "4712", 1) + statistics(0.3, 1.5), 1.5, 4},
		"cut to its dump":             {statistics(0, 1), 1, 1},
		"begun anew":                  {statistics(0, 1.7), 1.7, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fill(t, files{"glstat": old})
			folder := openFolder(t, dir)
			was, err := folder.Snapshot(t.Context(), "", "stdout")
			must.NoError(t, err)
			if c.now != old {
				write(t, dir, "glstat", c.now)
			}
			s := poll(t, NewFollower(folder, FollowOptions{Old: was}))
			must.Eq(t, c.want, ratioOf(s))
			if c.blocks > 0 {
				must.Eq(t, c.blocks, s.Energies.Blocks)
			}
		})
	}
}

// How a run ended never waits for its energies.
func TestFollower_globalStatisticsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "glstat"), 0o755))
	copyFile(t, "../output/testdata/completed-smp.stdout", filepath.Join(dir, "stdout"))
	s, err := NewFollower(openFolder(t, dir), FollowOptions{}).Drain(t.Context())
	must.NoError(t, err)
	must.Eq(t, output.NormalBanner, s.Banner)
	must.Nil(t, s.Energies)
}

func TestFolder_Report_health(t *testing.T) {
	dir := fill(t, files{"glstat": statistics(0, 1) + statistics(0.1, 1.25)})
	copyFile(t, "../output/testdata/completed-smp.stdout", filepath.Join(dir, "stdout"))
	for name, file := range map[string]string{"of the folder": "", "of the file alone": "glstat"} {
		t.Run(name, func(t *testing.T) {
			r, err := openFolder(t, dir).Report(t.Context(), file, false)
			must.NoError(t, err)
			must.NotNil(t, r.Health)
			must.Eq(t, 1.25, *r.Health.Ratio)
			must.Eq(t, []string{"energy ratio 1.25 at t = 0.1"}, r.Health.Notes)
			must.Nil(t, r.Health.Quiet)
		})
	}
}
