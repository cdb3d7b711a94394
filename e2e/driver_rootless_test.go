// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// asNobody makes an agent that is not root and has no cgroups, and skips the test
// where there can be none.
func asNobody(t *testing.T) func(*cluster.Config) {
	t.Helper()
	requireRoot(t) // to become somebody else
	const nobody = 65534
	if err := readableBy(nobody, binary(t, "nomad")); err != nil {
		t.Skipf("user %d cannot run the nomad binary here: %v", nobody, err)
	}
	return func(c *cluster.Config) { c.UID = nobody }
}

func TestDriver_WorksWithoutRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", asNobody(t))
	r := s.start(jobHCL{name: "rootless", folder: s.deck("rootless", "solid_bar_impact"), config: "ncpu = 1", env: slow + "\nSTANDIN_POLL = \"5\"\nSTANDIN_FAULT = \"child=3600\""})
	s.waitCycles(r)
	pid, cores := r.pidFile().PID, cpuset.Of(r.pidFile().Cores...)
	for _, how := range disturbances {
		before := r.recoveries()
		how.do(s)
		r.recovered()
		if how.newPlugin {
			r.takenUp(before)
		}
		must.Eq(t, pid, r.pidFile().PID)
		s.waitMask(r, cores)
	}
	must.NoError(t, s.StopJob(within(t), "rootless", false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, r.solvers())
}

// What root's agent does with cores, with broken records and with ends that nobody
// saw, any user's does. One agent serves all: each part leaves it without tasks.
func TestDriver_RecoversWithoutRoot(t *testing.T) {
	t.Parallel()
	cores := twoCores(t)
	s := onTwoCores(t, cores, asNobody(t))
	for _, part := range []struct {
		name string
		test func(*testing.T, *site)
	}{
		{"cores from birth", func(t *testing.T, s *site) { coresFromBirth(t, s, cores) }},
		{"cores from what is left", func(t *testing.T, s *site) { restoresCores(t, s, cores) }},
		{"ends that nobody saw", knowsEnds},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.test(t, s)
			s.stopEverything()
		})
	}
}

// stopEverything stops all jobs and waits until they are over.
func (s *site) stopEverything() {
	s.t.Helper()
	jobs, _, err := s.API.Jobs().List(nil)
	must.NoError(s.t, err)
	for _, j := range jobs {
		must.NoError(s.t, s.StopJob(within(s.t), j.ID, false))
	}
}
