// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// boot returns the number of the machine's boot, "1" for the first.
func boot() string { return os.Getenv("LSDYNA_E2E_BOOT") }

// What is on the machine's disk.
const (
	rebootDisk  = "/disk"
	rebootNotes = rebootDisk + "/notes.json"
)

// notes are what the second boot needs to know of the first.
type notes struct {
	BootID, NodeID        string
	Whole, Parts, Single  string // allocations
	PartsWas, SingleWas   pidfile.Record
	PartsInto, SingleInto string // run folders
}

// A power cut under running solvers. The first boot ends in the middle of the
// runs: e2e/vm kills QEMU, and what the guest had not written to its disk is gone.
// The second boot has the same disk, and in the processes' places others, with the
// same ids.
func TestReboot_RunsGoOnFromTheirLastDump(t *testing.T) {
	requireVM(t)
	if boot() == "1" {
		beforePowerCut(t)
	} else {
		afterPowerCut(t)
	}
}

// rebootSite is a site whose server, client and run folders are on the disk. keep
// leaves the agents running when the test ends, for the power to be cut under them.
// A cycle of solver "standin" takes at least the pace.
func rebootSite(t *testing.T, keep bool, pace string) *site {
	t.Helper()
	s := &site{t: t, scratch: filepath.Join(rebootDisk, "scratch")}
	must.NoError(t, os.MkdirAll(s.scratch, 0o755))
	agent := func(cfg cluster.Config) *cluster.Agent {
		cfg.Nomad = binary(t, "nomad")
		if !keep {
			return newAgent(t, cfg)
		}
		a, err := cluster.New(cfg)
		must.NoError(t, err)
		return a
	}
	server := agent(cluster.Config{Role: cluster.ServerOnly, Dir: filepath.Join(rebootDisk, "server")})
	start(t, server)
	s.Agent = agent(cluster.Config{
		Role: cluster.ClientOnly, Server: server, Dir: filepath.Join(rebootDisk, "client"),
		Plugin: binary(t, "nomad-driver-lsdyna"), SharedCgroups: true,
	})
	var err error
	s.solver, err = s.InstallBinary(binary(t, "lsdyna-standin"), "standin_smp_d_R14")
	must.NoError(t, err)
	s.Config.PluginConfig = fmt.Sprintf(`
    state_dir  = %[1]q
    work_roots = [%[2]q]
    solver "standin" {
      path = %[3]q
      env  = { STANDIN_PACE = %[4]q }
    }
    solver "fast" {
      path = %[3]q
    }`, s.StateDir(), s.scratch, s.solver, pace)
	start(t, s.Agent)
	must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
	return s
}

func beforePowerCut(t *testing.T) {
	// Some seconds a cycle: none of these runs ends before the power is cut.
	s := rebootSite(t, true, "10s")
	parts := s.restarted(jobHCL{name: "parts", folder: s.shortDeck("parts"), config: "ncpu = 2"})
	single := s.start(jobHCL{name: "single", folder: s.shortDeck("single"), config: "ncpu = 1"})
	whole := s.submit(jobHCL{name: "whole", folder: s.shortDeck("whole"), config: "ncpu = 2", solver: "fast"})
	whole.wait(api.AllocClientStatusComplete)
	s.waitCycles(parts)
	s.dumps(parts, "d3dump01")
	s.dumps(parts, "d3dump02") // and so d3dump01 is complete: something was printed after it
	data, err := json.Marshal(notes{
		BootID: content(t, "/proc/sys/kernel/random/boot_id"), NodeID: s.NodeID(),
		Whole: whole.alloc, Parts: parts.alloc, Single: single.alloc,
		PartsWas: parts.pidFile(), SingleWas: single.pidFile(), PartsInto: parts.folder, SingleInto: single.folder,
	})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(rebootNotes, data, 0o644))
	// What the kernel does by itself within half a minute. Of what follows, nobody
	// knows what reaches the disk: a dump may be there, half or not at all.
	syncDisk()
	s.dumps(parts, "d3dump03")
}

// shortDeck is a run folder with the bar's first cycles: an emulated machine
// computes slowly.
func (s *site) shortDeck(name string) string {
	s.t.Helper()
	folder := s.deck(name, "solid_bar_impact")
	s.shorten(folder)
	return folder
}

// shorten has a bar's run end after a tenth of its time, at its 61st cycle.
func (s *site) shorten(folder string) {
	s.t.Helper()
	main := filepath.Join(folder, "main.k")
	long := content(s.t, main) + "\n"
	short := strings.Replace(long, "tend      0.06", "tend     0.006", 1)
	must.NotEq(s.t, long, short)
	must.NoError(s.t, os.WriteFile(main, []byte(short), 0o644))
}

// restarted starts a job that Nomad restarts when its task fails.
func (s *site) restarted(j jobHCL) *run {
	s.t.Helper()
	alloc, err := s.Run(within(s.t), strings.Replace(j.String(), `attempts = 0
      mode     = "fail"`, `attempts = 5
      interval = "30m"
      delay    = "0s"
      mode     = "fail"`, 1))
	must.NoError(s.t, err)
	r := &run{s: s, job: j.name, folder: j.folder, alloc: alloc}
	r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	return r
}

// dumps has the solver write its next dump and go on.
func (s *site) dumps(r *run, name string) {
	s.t.Helper()
	alloc := r.wait(api.AllocClientStatusRunning)
	must.NoError(s.t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"))
	must.NoError(s.t, cluster.Poll(within(s.t), name, func() (bool, string, error) {
		out, err := os.ReadFile(filepath.Join(r.folder, "stdout"))
		return strings.Contains(string(out), "write "+name), string(out[max(0, len(out)-200):]), err
	}))
}

func afterPowerCut(t *testing.T) {
	var before notes
	must.NoError(t, json.Unmarshal([]byte(content(t, rebootNotes)), &before))
	must.NotEq(t, before.BootID, content(t, "/proc/sys/kernel/random/boot_id"))
	innocents := []innocent{
		startAs(t, before.PartsWas.PID, before.PartsInto), startAs(t, before.PartsWas.SupervisorPID, before.PartsInto),
		startAs(t, before.SingleWas.PID, before.SingleInto), startAs(t, before.SingleWas.SupervisorPID, before.SingleInto),
	}
	s := rebootSite(t, false, "0s")
	parts := &run{s: s, job: "parts", folder: before.PartsInto, alloc: before.Parts}
	single := &run{s: s, job: "single", folder: before.SingleInto, alloc: before.Single}
	whole := &run{s: s, job: "whole", folder: filepath.Join(s.scratch, "whole"), alloc: before.Whole}

	must.Eq(t, before.NodeID, s.NodeID())
	t.Run("a run that had ended has its outcome", func(t *testing.T) {
		code, _, err := cluster.Exit(whole.wait(api.AllocClientStatusComplete), "lsdyna")
		must.NoError(t, err)
		must.Zero(t, code)
	})
	t.Run("a run that may not restart is lost, and says why", func(t *testing.T) {
		alloc := single.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "host rebooted, solver lost"))
		code, _, err := cluster.Exit(alloc, "lsdyna")
		must.NoError(t, err)
		must.Eq(t, -1, code)
		must.False(t, containsAll(cluster.Events(alloc, "lsdyna"), "ormal termination at the end time"))
	})
	t.Run("a run that may goes on from its last dump", func(t *testing.T) {
		alloc := parts.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "host rebooted, solver lost"),
			cluster.TaskEvent("lsdyna", "Restarting from d3dump0"), cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
		t.Log(strings.Join(cluster.Events(alloc, "lsdyna"), "\n"))
		must.Positive(t, alloc.TaskStates["lsdyna"].Restarts)
		must.Eq(t, whole.results(), parts.results())
		must.Len(t, 0, parts.solvers())
	})
	t.Run("nobody else's process was touched", func(t *testing.T) {
		for _, i := range innocents {
			i.check(t)
		}
	})
}

// innocent is a process that has an id that one of the driver's records names, and
// sits in the run's folder.
type innocent struct {
	pid  int
	was  proc.Process
	mask unix.CPUSet
}

// startAs starts a process with this very id.
func startAs(t *testing.T, pid int, dir string) innocent {
	t.Helper()
	i := innocent{pid: pid}
	must.NoError(t, cluster.Poll(within(t), fmt.Sprintf("a process with the id %d", pid), func() (bool, string, error) {
		// Who forks in between takes the id that was meant for us.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, pid-1), 0); err != nil {
			return false, "", err
		}
		cmd := exec.Command("sleep", "86400")
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := cmd.Start(); err != nil {
			return false, "", err
		}
		end := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		if cmd.Process.Pid != pid {
			end()
			return false, fmt.Sprint(cmd.Process.Pid), nil
		}
		t.Cleanup(end)
		return true, "", nil
	}))
	must.NoError(t, unix.SchedGetaffinity(pid, &i.mask))
	// For a moment after its exec a process has no arguments yet.
	must.NoError(t, cluster.Poll(within(t), "its arguments", func() (_ bool, _ string, err error) {
		i.was, err = proc.Read(pid)
		return len(i.was.Args) > 0, i.was.String(), err
	}))
	return i
}

// check demands that the process is what it was.
func (i innocent) check(t *testing.T) {
	t.Helper()
	now, err := proc.Read(i.pid)
	must.NoError(t, err)
	must.Eq(t, 'S', rune(now.State), must.Sprint(now))
	i.was.State = now.State // it may have been about to fall asleep
	must.Eq(t, i.was, now)
	var mask unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(i.pid, &mask))
	must.Eq(t, i.mask, mask)
}
