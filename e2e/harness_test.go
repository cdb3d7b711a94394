// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// These tests run Nomad's own raw_exec driver: they test what the tests of our
// driver stand on, and what any driver of Nomad does in these situations.

// sleepJob is a raw_exec job that writes its pid and sleeps, for an hour unless
// it is stopped.
func sleepJob(name, extra string) string {
	return fmt.Sprintf(`
job %q {
  group "g" {
    %s
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "sleep" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo started; exec sleep 3600"]
      }
      kill_timeout = "2s"
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}`, name, extra)
}

// solo returns the one process of the agent that runs a sleep.
func solo(t *testing.T, a *cluster.Agent) proc.Process {
	t.Helper()
	all, err := a.Processes()
	must.NoError(t, err)
	var found []proc.Process
	for _, p := range all {
		if len(p.Args) == 2 && p.Args[0] == "sleep" {
			found = append(found, p)
		}
	}
	must.Len(t, 1, found, must.Sprintf("processes of the agent: %v", all))
	return found[0]
}

func kill(a *cluster.Agent, _ context.Context) error { return a.Kill() }

func TestAgent_TaskSurvivesEveryRestart(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name  string
		agent func(*testing.T, cluster.Config) *cluster.Agent
		how   func(*cluster.Agent, context.Context) error
	}{
		{"client interrupted", newClient, (*cluster.Agent).Stop},
		{"client terminated", newClient, (*cluster.Agent).Terminate},
		{"client killed", newClient, kill},
		{"server and client killed together", newAgent, kill},
	} {
		t.Run(end.name, func(t *testing.T) {
			a := end.agent(t, cluster.Config{})
			start(t, a)
			alloc, err := a.Run(within(t), sleepJob("survivor", ""))
			must.NoError(t, err)
			_, err = a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusRunning), cluster.TaskState("sleep", "running"))
			must.NoError(t, err)
			before, node := solo(t, a), a.NodeID()

			must.NoError(t, end.how(a, within(t)))
			must.False(t, a.Running())
			start(t, a)

			must.Eq(t, node, a.NodeID())
			must.Eq(t, before.PID, solo(t, a).PID)
			must.NoError(t, a.StopJob(within(t), "survivor", false))
			must.NoError(t, cluster.WaitGone(within(t), before))
			// How it ended is not asked: raw_exec, whose executor was reattached, may say -1.
			_, err = a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusComplete))
			must.NoError(t, err)
		})
	}
}

func TestAgent_TaskOutputAndEvents(t *testing.T) {
	t.Parallel()
	a := newClient(t, cluster.Config{})
	start(t, a)
	alloc, err := a.Run(within(t), strings.ReplaceAll(sleepJob("talker", ""), "exec sleep 3600", "exit 3"))
	must.NoError(t, err)
	failed, err := a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusFailed),
		cluster.TaskEvent("sleep", "Exit Code: 3"))
	must.NoError(t, err)
	code, _, err := cluster.Exit(failed, "sleep")
	must.NoError(t, err)
	must.Eq(t, 3, code)
	out, err := a.TaskLog(within(t), alloc, "sleep", "stdout")
	must.NoError(t, err)
	must.Eq(t, "started\n", out)
}

func TestAgent_TwoClientsAndADrain(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	first := newClient(t, cluster.Config{})
	start(t, first)
	second := newAgent(t, cluster.Config{Role: cluster.ClientOnly, Server: first.Config.Server})
	start(t, second)
	must.NotEq(t, first.NodeID(), second.NodeID())

	alloc, err := first.Run(within(t), sleepJob("moving", fmt.Sprintf(`
    constraint {
      attribute = "${node.unique.id}"
      operator  = "!="
      value     = "none"
    }
    affinity {
      attribute = "${node.unique.id}"
      value     = %q
      weight    = 100
    }
    migrate {
      min_healthy_time = "1s"
    }`, second.NodeID())))
	must.NoError(t, err)
	placed, err := first.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusRunning))
	must.NoError(t, err)
	must.Eq(t, second.NodeID(), placed.NodeID)
	before := solo(t, second)

	_, err = first.API.Nodes().UpdateDrain(second.NodeID(), &api.DrainSpec{Deadline: stepTimeout}, false, nil)
	must.NoError(t, err)
	_, err = first.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusComplete))
	must.NoError(t, err)
	must.NoError(t, cluster.WaitGone(within(t), before))
	allocs, err := first.WaitPlaced(within(t), "moving", 2)
	must.NoError(t, err)
	_, err = first.WaitAlloc(within(t), allocs[0].ID, cluster.ClientStatus(api.AllocClientStatusRunning))
	must.NoError(t, err)
	must.Eq(t, first.NodeID(), allocs[0].NodeID)
	must.NotEq(t, before.PID, solo(t, first).PID)
}

func TestAgent_CoresOfATask(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	a := newClient(t, cluster.Config{})
	start(t, a)
	alloc, err := a.Run(within(t), strings.Replace(sleepJob("pinned", ""), "cpu    = 50", "cores  = 1", 1))
	must.NoError(t, err)
	_, err = a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusRunning), cluster.TaskState("sleep", "running"))
	must.NoError(t, err)

	p := solo(t, a)
	environ, err := proc.Environ(p.PID)
	must.NoError(t, err)
	i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, "NOMAD_CPU_CORES=") })
	must.GreaterEq(t, 0, i)
	core := strings.TrimPrefix(environ[i], "NOMAD_CPU_CORES=")
	threads, err := proc.ThreadCPUs(p.PID)
	must.NoError(t, err)
	must.Eq(t, map[int]string{p.PID: core}, threads)
	cgroups, err := proc.Cgroups(p.PID)
	must.NoError(t, err)
	inCpuset := cgroups["cpuset"] // v1
	if inCpuset == "" {
		inCpuset = cgroups[""] // v2
	}
	must.StrContains(t, inCpuset, alloc)
	inside, err := proc.InCgroup(a.CgroupPath(pinnedCgroup(alloc)))
	must.NoError(t, err)
	must.SliceContainsFunc(t, inside, p.PID, func(p proc.Process, pid int) bool { return p.PID == pid })
}

// pinnedCgroup is where Nomad puts the task of a job with reserved cores, as the
// agent sees it.
func pinnedCgroup(alloc string) string {
	if _, err := os.Stat("/sys/fs/cgroup/cpuset"); err == nil {
		return "/sys/fs/cgroup/cpuset/nomad/reserve/" + alloc + ".sleep"
	}
	return "/sys/fs/cgroup/nomad.slice/reserve.slice/" + alloc + ".sleep.scope"
}

func TestAgent_Unprivileged(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	const nobody = 65534
	if err := readableBy(nobody, binary(t, "nomad")); err != nil {
		t.Skipf("user %d cannot run the nomad binary here: %v", nobody, err)
	}
	a := newClient(t, cluster.Config{UID: nobody})
	start(t, a)
	alloc, err := a.Run(within(t), sleepJob("nobody", ""))
	must.NoError(t, err)
	_, err = a.WaitAlloc(within(t), alloc, cluster.ClientStatus(api.AllocClientStatusRunning), cluster.TaskState("sleep", "running"))
	must.NoError(t, err)
	uids, err := proc.Status(solo(t, a).PID, "Uid")
	must.NoError(t, err)
	must.Eq(t, "65534\t65534\t65534\t65534", uids)
}

// readableBy tells whether the user can execute the file, by trying.
func readableBy(uid uint32, path string) error {
	cmd := exec.Command("test", "-x", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd.Run()
}

func TestAgent_PowerOffEndsEverything(t *testing.T) {
	t.Parallel()
	a := newClient(t, cluster.Config{})
	start(t, a)
	alloc, err := a.Run(within(t), sleepJob("cut", ""))
	must.NoError(t, err)
	_, err = a.WaitAlloc(within(t), alloc, cluster.TaskState("sleep", "running"))
	must.NoError(t, err)
	p := solo(t, a)
	must.NoError(t, a.PowerOff())
	must.NoError(t, cluster.WaitGone(within(t), p))
	left, err := a.Processes()
	must.NoError(t, err)
	must.Len(t, 0, left)
}

// A harness that overlooks what is left behind would make every other test
// worthless, so it is shown to find it.
func TestAgent_CloseReportsALeftoverAndEndsIt(t *testing.T) {
	t.Parallel()
	a := newClient(t, cluster.Config{})
	start(t, a)
	alloc, err := a.Run(within(t), sleepJob("forgotten", ""))
	must.NoError(t, err)
	_, err = a.WaitAlloc(within(t), alloc, cluster.TaskState("sleep", "running"))
	must.NoError(t, err)
	p := solo(t, a)
	dir := a.Path()
	must.NoError(t, a.Kill()) // nobody is left to stop the job

	err = a.Close()
	must.ErrorContains(t, err, fmt.Sprintf("left behind: pid %d ", p.PID))
	must.NoError(t, cluster.WaitGone(within(t), p))
	_, err = os.Stat(dir)
	must.ErrorIs(t, err, os.ErrNotExist)
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(dir))
	must.NoError(t, err)
	must.Len(t, 0, cgroups)
}

func TestAgent_StartFailsInWords(t *testing.T) {
	t.Parallel()
	a := newClient(t, cluster.Config{HCL: `client { no_such_option = true }`})
	err := a.Start(within(t))
	must.ErrorContains(t, err, "no_such_option")
	must.False(t, errors.Is(err, context.DeadlineExceeded), must.Sprint("noticed only by the deadline"))
	must.False(t, a.Running())
}
