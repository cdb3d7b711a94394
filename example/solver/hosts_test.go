// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// hosts are two hosts on this machine: network and UTS namespaces, joined by a
// pair of virtual interfaces. They last as long as a process in each.
type hosts struct {
	t     *testing.T
	pids  [2]int
	agent string // called as ssh is: agent HOST WORD…
}

var hostNames = [2]string{"nodea", "nodeb"}

// twoHosts makes the hosts, or skips the test and says why.
func twoHosts(t *testing.T) *hosts {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root: ranks on several hosts are not tested")
	}
	for _, name := range []string{"ip", "nsenter", "hostname"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: ranks on several hosts are not tested", name)
		}
	}
	h := &hosts{t: t}
	for i := range h.pids {
		h.pids[i] = namespace(t)
	}
	a, b := strconv.Itoa(h.pids[0]), strconv.Itoa(h.pids[1])
	command(t, "ip", "link", "add", "name", "veth0", "netns", a, "type", "veth", "peer", "name", "veth0", "netns", b)
	for i := range h.pids {
		h.on(i, "hostname", hostNames[i])
		h.on(i, "ip", "address", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", "veth0")
		h.on(i, "ip", "link", "set", "lo", "up")
		h.on(i, "ip", "link", "set", "veth0", "up")
	}
	h.agent = filepath.Join(t.TempDir(), "agent")
	script := fmt.Sprintf("#!/bin/sh\nhost=$1\nshift\ncase $host in nodea|10.77.0.1) pid=%s ;; nodeb|10.77.0.2) pid=%s ;; *) exit 99 ;; esac\n"+
		"exec nsenter -t $pid -n -u sh -c \"$*\"\n", a, b)
	if err := os.WriteFile(h.agent, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

// namespace starts a process that holds a host's namespaces. It ends with its
// standard input, so also when the test is killed.
func namespace(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no network namespace: %v: ranks on several hosts are not tested", err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func command(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// enter is the start of a command on a host.
func (h *hosts) enter(i int) []string {
	return []string{"nsenter", "-t", strconv.Itoa(h.pids[i]), "-n", "-u"}
}

func (h *hosts) on(i int, words ...string) {
	h.t.Helper()
	command(h.t, append(h.enter(i), words...)...)
}

// noteHost starts a rank that leaves its host's namespace in the run folder.
const noteHost = `readlink /proc/self/ns/net > namespace.$$; exec "$0" "$@"`

// spread demands that ranks ran on both hosts, as many as counts says.
func (h *hosts) spread(j *job, counts [2]int) {
	h.t.Helper()
	files, _ := filepath.Glob(filepath.Join(j.dir, "namespace.*"))
	var ran [2]int
	for _, file := range files {
		for i, pid := range h.pids {
			if own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && read(h.t, file) == own+"\n" {
				ran[i]++
			}
		}
	}
	if ran != counts {
		h.t.Errorf("%v ranks ran on the two hosts, not %v", ran, counts)
	}
}

// launchers are the commands that start the stand-in on two hosts, with as many
// ranks on each as counts says.
func (h *hosts) launchers(counts [2]int) map[string][]string {
	total := strconv.Itoa(counts[0] + counts[1])
	where := fmt.Sprintf("nodea:%d,nodeb:%d", counts[0], counts[1])
	all := map[string][]string{
		"Open MPI": {
			"mpirun", "--allow-run-as-root", "--bind-to", "none", "--mca", "plm_rsh_agent", h.agent, "--mca", "plm_rsh_no_tree_spawn", "1",
			"--mca", "oob_tcp_if_include", "10.77.0.0/24", "--mca", "btl_tcp_if_include", "10.77.0.0/24", "--host", where, "-np", total,
		},
		"MPICH": {"mpiexec.hydra", "-launcher", "rsh", "-launcher-exec", h.agent, "-localhost", "10.77.0.1", "-hosts", where, "-n", total},
	}
	for name, words := range all {
		if _, err := exec.LookPath(words[0]); err != nil {
			h.t.Logf("%s is not installed: not tested", words[0])
			delete(all, name)
			continue
		}
		all[name] = append(append(h.enter(0), words...), "sh", "-c", noteHost, executable(h.t))
	}
	return all
}

// left demands that the ranks' files are gone and that their processes end.
func left(t *testing.T, j *job) {
	t.Helper()
	if found, _ := filepath.Glob(filepath.Join(j.dir, "standin-ranks.*")); len(found) > 0 {
		t.Errorf("left in the run folder: %v", found)
	}
	gone(t, j)
}

func TestRanksOnTwoHostsGiveTheSameResults(t *testing.T) {
	h := twoHosts(t)
	smp := folder(t, "solid_bar_impact")
	solve(t, 0, smp, "i=main.k", cycles(300))
	for _, counts := range [][2]int{{1, 1}, {2, 2}, {1, 2}} {
		for name, launcher := range h.launchers(counts) {
			t.Run(fmt.Sprintf("%s, %d and %d", name, counts[0], counts[1]), func(t *testing.T) {
				dir := folder(t, "solid_bar_impact")
				j := launch(t, dir, launcher, "i=main.k", "memory=20m", cycles(300))
				if code := j.wait(); code != 0 {
					t.Fatalf("exit code %d\n%s\n%s", code, j.stdout(), j.err.String())
				}
				demand(t, j.stdout(), fmt.Sprintf(" MPP execution with %7d procs\n", counts[0]+counts[1]))
				same(t, smp, dir, results[:3]...)
				h.spread(j, counts)
				left(t, j)
			})
		}
	}
}

// A launcher that says that each rank is alone on its host makes the ranks use
// TCP, also where there is only one host and no root.
func TestRanksOverTCPGiveTheSameResults(t *testing.T) {
	smp := folder(t, "shell_box_crush")
	solve(t, 0, smp, "i=small.k", cycles(300))
	for name, words := range map[string][]string{
		"Open MPI":                {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", "3", "sh", "-c", `OMPI_COMM_WORLD_LOCAL_SIZE=1 exec "$0" "$@"`},
		"MPICH":                   {"mpiexec.hydra", "-n", "3", "sh", "-c", `MPI_LOCALNRANKS=1 exec "$0" "$@"`},
		"MPICH without a name":    {"mpiexec.hydra", "-n", "3", "sh", "-c", `unset PMI_FD; MPI_LOCALNRANKS=1 exec "$0" "$@"`},
		"MPICH, all on this host": {"mpiexec.hydra", "-n", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(words[0]); err != nil {
				t.Skipf("%s is not installed: not tested", words[0])
			}
			dir := folder(t, "shell_box_crush")
			j := launch(t, dir, append(words, executable(t)), "i=small.k", "memory=20m", cycles(300))
			if code := j.wait(); code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, j.stdout(), j.err.String())
			}
			same(t, smp, dir, results[:3]...)
			left(t, j)
		})
	}
}

// A restart on one host goes on from the dumps of two.
func TestDumpsOfTwoHostsRestartOnOne(t *testing.T) {
	h := twoHosts(t)
	for name, launcher := range h.launchers([2]int{1, 1}) {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "solid_bar_impact")
			if code := launch(t, dir, launcher, "i=main.k", cycles(200)).wait(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			again := launch(t, dir, mpirun(t, "2"), "r=d3dump01", cycles(300))
			if code := again.wait(); code != 0 {
				t.Fatalf("restart: exit code %d\n%s", code, again.stdout())
			}
			whole := folder(t, "solid_bar_impact")
			solve(t, 0, whole, "i=main.k", cycles(300))
			same(t, whole, dir, results[:3]...)
		})
	}
}

func TestDeadRankEndsThoseOnTheOtherHost(t *testing.T) {
	h := twoHosts(t)
	for name, launcher := range h.launchers([2]int{1, 1}) {
		for _, rank := range []string{"0", "1"} {
			t.Run(name+", rank "+rank, func(t *testing.T) {
				j := launch(t, folder(t, "solid_bar_impact"), launcher, "i=main.k", "STANDIN_FAULT=kill=50,rank="+rank)
				if code := j.wait(); code == 0 {
					t.Errorf("the launcher says that all is well:\n%s", j.stdout())
				}
				refuse(t, j.stdout(), normalWords)
				left(t, j)
			})
		}
	}
}
