// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestV1Mounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mountinfo")
	must.NoError(t, os.WriteFile(file, []byte(`23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`), 0o600))
	mounts, err := v1Mounts(file)
	must.NoError(t, err)
	must.Eq(t, map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "cpuset": "/sys/fs/cgroup/cpuset",
	}, mounts)
	var points []string
	for p := range distinct(mounts) {
		points = append(points, p)
	}
	must.Len(t, 2, points)
}

func TestPorts_AreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports")
	first, err := portsIn(file)
	must.NoError(t, err)
	must.True(t, first.HTTP != first.RPC && first.RPC != first.Serf && first.HTTP != first.Serf)
	again, err := portsIn(file)
	must.NoError(t, err)
	must.Eq(t, first, again)
	must.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = portsIn(file)
	must.Error(t, err)
}

func TestPoll(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	must.NoError(t, Poll(ctx, "the third look", func() (bool, string, error) {
		looks++
		return looks == 3, "", nil
	}))
	must.Eq(t, 3, looks)
	broken := errors.New("broken")
	must.ErrorIs(t, Poll(ctx, "never", func() (bool, string, error) { return false, "", broken }), broken)
	err := Poll(ctx, "the end of time", func() (bool, string, error) {
		cancel()
		return false, "an hourglass", nil
	})
	must.ErrorIs(t, err, context.Canceled)
	must.ErrorContains(t, err, "the end of time")
	must.ErrorContains(t, err, "an hourglass")
}

func TestConditions(t *testing.T) {
	alloc := &api.Allocation{ClientStatus: "running", TaskStates: map[string]*api.TaskState{"t": {
		State: "running", Restarts: 1,
		Events: []*api.TaskEvent{
			{Type: api.TaskTerminated, ExitCode: 137, Signal: 9, DisplayMessage: "Exit Code: 137"},
			{Type: api.TaskDriverMessage, DisplayMessage: "Allocated cores 4-11"},
		},
	}}}
	for name, c := range map[string]struct {
		condition Condition
		holds     bool
	}{
		"status":          {ClientStatus("running"), true},
		"other status":    {ClientStatus("complete"), false},
		"task state":      {TaskState("t", "running"), true},
		"no such task":    {TaskState("u", "running"), false},
		"event":           {TaskEvent("t", "cores 4-11"), true},
		"no such event":   {TaskEvent("t", "cores 5"), false},
		"restarted":       {Restarts("t", 1), true},
		"restarted twice": {Restarts("t", 2), false},
		"not terminal":    {Terminal, false},
	} {
		holds, seen := c.condition(alloc)
		must.Eq(t, c.holds, holds, must.Sprint(name))
		must.True(t, holds || seen != "", must.Sprintf("%s does not say why", name))
	}
	code, signal, err := Exit(alloc, "t")
	must.NoError(t, err)
	must.Eq(t, []int{137, 9}, []int{code, signal})
}

// Nomad may forget a purged job's allocation before anybody saw that it had ended. Of one
// that was not purged, that is an answer which tells nothing, and it is asked again.
func TestStopJob_whenNomadDoesNotKnowTheAllocation(t *testing.T) {
	const alloc = "11111111-2222-3333-4444-555555555555"
	for purge, asked := range map[bool]int32{true: 1, false: 3} {
		var looks atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/allocations"):
				_, _ = fmt.Fprintf(w, `[{"ID":%q}]`, alloc)
			case r.Method == http.MethodDelete:
				_, _ = fmt.Fprint(w, `{}`)
			case looks.Add(1) < 3:
				http.Error(w, "alloc not found", http.StatusNotFound)
			default:
				_, _ = fmt.Fprintf(w, `{"ID":%q,"ClientStatus":"complete"}`, alloc)
			}
		}))
		client, err := api.NewClient(&api.Config{Address: server.URL})
		must.NoError(t, err)
		must.NoError(t, (&Agent{API: client}).StopJob(t.Context(), "job", purge))
		must.Eq(t, asked, looks.Load(), must.Sprintf("purge %t", purge))
		server.Close()
	}
}
