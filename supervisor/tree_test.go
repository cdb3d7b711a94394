// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// cgroupKinds runs a test without cgroups, in v1 and in v2.
func cgroupKinds(t *testing.T, begin func(t *testing.T) *task, test func(t *testing.T, k *task)) {
	for name, join := range map[string]func(*task){
		"none": func(*task) {},
		"v1":   func(k *task) { k.v1(cpuList(someCPUs(k.t, 1))) },
		"v2":   (*task).v2,
	} {
		t.Run(name, func(t *testing.T) {
			k := begin(t)
			join(k)
			test(t, k)
		})
	}
}

func cpuList(cpus []int) string {
	var list []string
	for _, c := range cpus {
		list = append(list, strconv.Itoa(c))
	}
	return strings.Join(list, ",")
}

// daemon leaves a grandchild in a session of its own, twice removed, and ends.
const daemon = `setsid sh -c 'setsid sleep 1000 & echo $! > grandchild; exit 0' & wait; sh -c 'sleep 1000 & echo $! > orphan'; exit 5`

func TestLeftoversAreEnded(t *testing.T) {
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, daemon) }, func(t *testing.T, k *task) {
		p := k.start()
		if exit := k.wait(p); exit.Code != 5 {
			t.Errorf("got %+v", exit)
		}
		for _, name := range []string{"grandchild", "orphan"} {
			pid, err := strconv.Atoi(strings.TrimSpace(k.read(k.run, name)))
			if err != nil {
				t.Fatal(err)
			}
			if !gone(pid) {
				t.Errorf("%s %d lives", name, pid)
			}
		}
	})
}

// The same when there is no supervisor any more to do it.
func TestLeftoversOfAnOrphan(t *testing.T) {
	cgroupKinds(t, func(t *testing.T) *task {
		return shell(t, `sleep 1000 & (sleep 1000 &) ; sh -c 'trap "" TERM; echo up; sleep 1000; :'`)
	}, func(t *testing.T, k *task) {
		p := k.start()
		k.says("up")
		_, supervisor := record(t, p)
		kill(t, supervisor)
		eventually(t, "the lock is free", func() bool { held, _ := durable.Held(lockPath(k.dir)); return !held })
		var pids []int
		eventually(t, "five processes are found", func() bool {
			var err error
			pids, err = tree(t, p).PIDs()
			return err == nil && len(pids) == 5
		})
		if err := tree(t, p).Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if !gone(pid) {
				t.Errorf("%d lives", pid)
			}
		}
	})
}

func TestSignals(t *testing.T) {
	script := `trap 'echo got it' USR1; sh -c 'trap "echo child got it" USR1; echo up; while :; do sleep 1000 & wait; done' & while :; do wait; done`
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, script) }, func(t *testing.T, k *task) {
		p := k.start()
		k.says("up")
		if err := tree(t, p).Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		k.says("got it\n")
		if strings.Contains(k.read(k.run, "stdout"), "child got it") {
			t.Error("the child got the main process's signal")
		}
		if err := tree(t, p).SignalAll(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		k.says("child got it\n")
	})
}

// Killed at once, whatever it is doing, and the status tells.
func TestKillTree(t *testing.T) {
	script := `trap "" TERM INT HUP; for i in 1 2 3 4 5; do (trap "" TERM; while :; do sh -c :; done) & done; echo up; wait`
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, script) }, func(t *testing.T, k *task) {
		p := k.start()
		k.says("up")
		tr := tree(t, p)
		if err := tr.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if exit := k.wait(p); exit.Signal != 9 {
			t.Errorf("got %+v", exit)
		}
		if pids, err := tr.PIDs(); err != nil || len(pids) > 0 {
			t.Errorf("left %v, %v", pids, err)
		}
	})
}

// A supervisor shrugs off what a hasty operator or a closing terminal sends.
func TestSupervisorIgnoresSignals(t *testing.T) {
	k := shell(t, "echo up; read line < go; exit 9")
	letGo := k.gate()
	p := k.start()
	k.says("up")
	_, supervisor := record(t, p)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT} {
		if err := syscall.Kill(supervisor, sig); err != nil {
			t.Fatal(err)
		}
	}
	letGo()
	if exit := k.wait(p); exit.Code != 9 {
		t.Errorf("got %+v", exit)
	}
}

// Threads that keep appearing, each from another, all end up on the new CPUs.
func TestBindMovesEveryThread(t *testing.T) {
	both := someCPUs(t, 2)
	cgroupKinds(t, func(t *testing.T) *task { return self(t, "solver-threads") }, func(t *testing.T, k *task) {
		k.spec.CPUs = both[:1]
		p := k.start()
		k.says("threads")
		tr := tree(t, p)
		for round := range 6 {
			cpus := cpuset.Of(both[(round+1)%2])
			if err := p.Bind(cpus); err != nil {
				t.Fatal(err)
			}
			threads, err := tr.Threads()
			if err != nil {
				t.Fatal(err)
			}
			if len(threads) < 3 {
				t.Errorf("only %d threads", len(threads))
			}
			for _, th := range threads {
				if th.CPUs != cpus {
					t.Errorf("round %d: thread %+v, want %v", round, th, cpus)
				}
			}
			if r, err := p.Record(); err != nil || !slices.Equal(r.Cores, cpus.Slice()) {
				t.Errorf("pid file %+v, %v", r, err)
			}
			if k.spec.Cgroups.Mode == CgroupV1 {
				if got := k.read(k.spec.Cgroups.LeafCpuset, "cpuset.cpus"); strings.TrimSpace(got) != cpus.String() {
					t.Errorf("leaf cpuset %q", got)
				}
			}
		}
		if err := p.Bind(cpuset.Set{}); err != nil {
			t.Fatal(err)
		}
		threads, err := tr.Threads()
		if err != nil {
			t.Fatal(err)
		}
		for _, th := range threads {
			if th.CPUs.Len() < 2 {
				t.Errorf("still bound: %+v", th)
			}
		}
		if r, err := p.Record(); err != nil || r.Cores == nil || len(r.Cores) > 0 {
			t.Errorf("pid file %+v, %v", r, err)
		}
	})
}

func TestBindThatFailsChangesNothing(t *testing.T) {
	k := shell(t, "echo up; sleep 1000")
	k.spec.CPUs = someCPUs(t, 1)
	p := k.start()
	k.says("up")
	err := p.Bind(cpuset.Of(2000))
	if err == nil || !strings.Contains(err.Error(), "2000") {
		t.Fatalf("got %v", err)
	}
	if r, err := p.Record(); err != nil || !slices.Equal(r.Cores, k.spec.CPUs) {
		t.Errorf("pid file %+v, %v", r, err)
	}
}

func TestCgroupV1(t *testing.T) {
	cpu := someCPUs(t, 1)
	k := newTask(t, "/bin/cat", "/proc/self/cgroup", "/proc/self/status")
	k.v1(cpuList(cpu))
	k.spec.CPUs = cpu
	k.spec.Limits = Limits{MemoryMax: 64 << 20, MemoryLow: 32 << 20, CPUShares: 512, CPUWeight: 50}
	k.wait(k.start())
	out := k.read(k.run, "stdout")
	name := filepath.Base(k.spec.Cgroups.Freezer)
	for _, controller := range []string{"freezer", "cpu", "memory", "cpuset"} {
		if !strings.Contains(out, ":"+controller+":/"+name+"\n") {
			t.Errorf("not in %s cgroup: %s", controller, out)
		}
	}
	if got := status(t, out, "Cpus_allowed_list"); got != cpuList(cpu) {
		t.Errorf("born on CPUs %s", got)
	}
	for file, want := range map[string]string{
		"memory/" + name + "/memory.limit_in_bytes":      fmt.Sprint(64 << 20),
		"memory/" + name + "/memory.soft_limit_in_bytes": fmt.Sprint(32 << 20),
		"cpu/" + name + "/cpu.shares":                    "512",
		"cpuset/" + name + "/cpuset.cpus":                cpuList(cpu),
	} {
		if got := strings.TrimSpace(k.read("/sys/fs/cgroup", file)); got != want {
			t.Errorf("%s is %q, want %s", file, got, want)
		}
	}
}

func TestCgroupV2(t *testing.T) {
	k := newTask(t, "/bin/cat", "/proc/self/cgroup")
	k.v2()
	k.wait(k.start())
	if out := k.read(k.run, "stdout"); !strings.Contains(out, "0::/"+filepath.Base(k.spec.Cgroups.Join[0])+"\n") {
		t.Errorf("not in the cgroup: %s", out)
	}
}

func TestOOMKill(t *testing.T) {
	k := self(t, "solver-eat", "200")
	k.v1(cpuList(someCPUs(t, 1)))
	k.spec.Limits.MemoryMax = 48 << 20
	exit := k.wait(k.start())
	if !exit.OOMKilled || exit.Signal != 9 || exit.Code != 137 {
		t.Errorf("got %+v", exit)
	}
}

func TestNoOOMKill(t *testing.T) {
	k := shell(t, "kill -KILL $$")
	k.v1(cpuList(someCPUs(t, 1)))
	k.spec.Limits.MemoryMax = 48 << 20
	if exit := k.wait(k.start()); exit.OOMKilled || exit.Signal != 9 {
		t.Errorf("got %+v", exit)
	}
}

// A fork bomb is bounded with v1, too, by a cgroup that is there for the run alone.
func TestProcessLimitOfCgroupV1(t *testing.T) {
	for _, how := range []string{"", "its supervisor is killed"} {
		t.Run(how, func(t *testing.T) {
			k := shell(t, "echo up; read line < go; i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo all")
			letGo := k.gate()
			k.v1(cpuList(someCPUs(t, 1)))
			k.pids(20)
			p := k.start()
			k.says("up")
			if how != "" {
				_, supervisor := record(t, p)
				kill(t, supervisor)
			}
			letGo()
			eventually(t, "the shell cannot fork", func() bool { return strings.Contains(strings.ToLower(k.read(k.run, "stderr")), "fork") })
			k.end()
			if said := k.read(k.run, "stdout"); strings.Contains(said, "all") {
				t.Errorf("forty processes ran: %s", said)
			}
			if how != "" {
				if err := RemoveCgroups(k.dir); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Stat(k.spec.Cgroups.Pids); err == nil {
				t.Error("the cgroup is still there")
			}
		})
	}
}

// pids gives a task of cgroup v1 a limit of processes.
func (k *task) pids(most int64) {
	k.t.Helper()
	const root = "/sys/fs/cgroup/pids"
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		k.t.Skip("no cgroup v1 pids hierarchy here")
	}
	dir := filepath.Join(root, filepath.Base(k.spec.Cgroups.Freezer), "run")
	k.spec.Cgroups.Pids, k.spec.Limits.Processes = dir, most
	k.spec.Cgroups.Join = append([]string{dir}, k.spec.Cgroups.Join...)
	k.t.Cleanup(func() { removeCgroup(k.t, dir); removeCgroup(k.t, filepath.Dir(dir)) })
	k.t.Cleanup(k.end)
}
