// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// With cgroups v1 a client that restarts counts the cores of allocations that are over
// but not collected as reserved, and its cpuparts_hook ends tasks of every driver for
// that. After a garbage collection, as docs/kernels.md advises, it does not.
func TestDriver_ClientRestartAfterReservationsOfAllCores(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	cores := twoCores(t)
	s := onTwoCores(t, cores)
	var over []*run
	for _, name := range []string{"first", "second"} {
		r := s.submit(jobHCL{name: name, folder: s.shortDeck(name), resources: fmt.Sprintf("cores = %d", cores.Len())})
		r.wait(api.AllocClientStatusComplete)
		over = append(over, r)
	}
	reserved := s.start(jobHCL{name: "reserved", folder: s.deck("reserved", "solid_bar_impact"), env: steady, resources: "cores = 1"})
	raw := s.twin(jobHCL{name: "beside", resources: "cpu = 50"})
	raw.wait(api.AllocClientStatusRunning)
	pid := reserved.pidFile().PID

	must.NoError(t, s.API.System().GarbageCollect())
	for _, r := range over {
		must.NoError(t, cluster.Poll(within(t), "the allocation of "+r.job+" is collected", func() (bool, string, error) {
			_, err := os.Stat(s.AllocDir(r.alloc))
			return errors.Is(err, fs.ErrNotExist), fmt.Sprint(err), nil
		}))
	}
	for range 3 {
		must.NoError(t, s.Restart(within(t)))
		reserved.recovered()
		alloc := raw.wait(api.AllocClientStatusRunning)
		must.False(t, strings.Contains(cluster.DescribeAlloc(alloc), "Setup Failure"))
		must.Eq(t, pid, reserved.pidFile().PID)
	}
}
