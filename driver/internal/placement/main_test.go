// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// The test binary plays the plugin, and, since it links package supervisor, the
// supervisors and launch stages of its runs. With the word below as its first
// argument it is a solver that keeps starting threads.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "solver-threads" {
		startThreads()
	}
	os.Exit(m.Run())
}

// startThreads keeps starting threads, from several that live for ever, and never
// returns. Each starts the next: a thread has the affinity of the one that made it.
func startThreads() {
	var chain func()
	chain = func() {
		runtime.LockOSThread()       // the thread ends with its goroutine
		time.Sleep(time.Millisecond) //nolint:forbidigo // how often one starts
		go chain()
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // how long it lives on
	}
	for range 4 {
		go chain()
	}
	fmt.Println("threads")
	select {}
}

// patience is how long anything may take before a test fails.
const patience = 30 * time.Second

// eventually waits for something that nothing announces.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("after %s still not: %s", patience, what)
}

// needCPUs skips where this process has fewer physical cores than a test needs,
// and where they are not called 0, 1, and so on.
func needCPUs(t *testing.T, n int) {
	t.Helper()
	topo, managed, err := (&Settings{}).discover(hclog.NewNullLogger())
	must.NoError(t, err)
	if wanted := cpuset.Range(0, n-1); physicalCores(topo, managed.Intersect(wanted)) < n {
		t.Skipf("needs the physical cores %s, this process has %s", wanted, managed)
	}
}

// tree makes a tree of folders, and files where a name has a content.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, path := range paths {
		name, content, isFile := strings.Cut(path, "=")
		full := filepath.Join(root, name)
		if !isFile {
			must.NoError(t, os.MkdirAll(full, 0o755))
			continue
		}
		must.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return root
}

// sysfs is a machine with NUMA nodes of so many cores each. The nodes in hasMemory
// have memory; "" is a kernel that does not tell.
func sysfs(t *testing.T, nodes, coresEach int, hasMemory string) string {
	t.Helper()
	last := coresEach*nodes - 1
	files := []string{
		fmt.Sprintf("devices/system/cpu/online=0-%d\n", last),
		fmt.Sprintf("devices/system/node/online=0-%d\n", nodes-1),
	}
	if hasMemory != "" {
		files = append(files, "devices/system/node/has_memory="+hasMemory+"\n")
	}
	for cpu := range last + 1 {
		dir := fmt.Sprintf("devices/system/cpu/cpu%d/topology/", cpu)
		files = append(files, dir+"physical_package_id=0\n", fmt.Sprintf("%score_id=%d\n", dir, cpu), fmt.Sprintf("%sthread_siblings_list=%d\n", dir, cpu))
	}
	for node := range nodes {
		files = append(files, fmt.Sprintf("devices/system/node/node%d/cpulist=%d-%d\n", node, coresEach*node, coresEach*node+coresEach-1))
	}
	return tree(t, files...)
}

// node is the cores of one Nomad client: those of this machine, with the cgroups
// of a client of its own.
type node struct {
	*Cores
	t *testing.T
}

// newNode has the cores 0-1 to give out, unless it is adjusted.
func newNode(t *testing.T, adjust ...func(*Settings)) *node {
	t.Helper()
	settings := Settings{
		Usable:     cpuset.Range(0, 1),
		CgroupRoot: tree(t, "cgroup.controllers=cpuset\n", "nomad.slice/reserve.slice/cpuset.cpus=\n"),
	}
	for _, f := range adjust {
		f(&settings)
	}
	n := &node{t: t}
	var err error
	n.Cores, err = New(settings, hclog.NewNullLogger())
	must.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must.NoError(t, n.Close(ctx))
	})
	return n
}

// reserve says which cores Nomad has reserved for tasks of any driver.
func (n *node) reserve(cpus string) {
	n.t.Helper()
	path := filepath.Join(n.settings.CgroupRoot, "nomad.slice/reserve.slice/cpuset.cpus")
	must.NoError(n.t, os.WriteFile(path, []byte(cpus+"\n"), 0o644))
}

// run is a run to be placed.
func (n *node) run(asked int) *run {
	n.t.Helper()
	return n.runOf(Run{Asked: asked})
}

func (n *node) runOf(about Run) *run {
	n.t.Helper()
	r := newRun(n.t)
	about.Owner, about.Logger = r.dir, hclog.NewNullLogger()
	about.Report = func(words string) {
		r.binder.Describe() // would wait for ever under the lock
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, words)
	}
	r.binder = n.NewBinder(about)
	n.t.Cleanup(r.binder.Release)
	return r
}

// start leases cores and launches, as StartTask does.
func (n *node) start(asked int) *run {
	n.t.Helper()
	r := n.run(asked)
	if _, err := r.binder.Lease(cpuset.Set{}); err != nil {
		n.t.Log(err)
	}
	r.launch()
	r.binder.Attach(r.proc, r.pidFile())
	return r
}

// run is a run with its record, and, once it is launched, its processes.
type run struct {
	binder *Binder
	t      *testing.T
	dir    string // record
	work   string // run folder
	spec   supervisor.Spec
	proc   *supervisor.Process

	mu     sync.Mutex
	events []string
}

// newRun is a run of sleep.
func newRun(t *testing.T) *run {
	t.Helper()
	base := t.TempDir()
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755)) // for the run's user
	}
	r := &run{t: t, dir: filepath.Join(base, "record"), work: filepath.Join(base, "run")}
	must.NoError(t, os.Mkdir(r.dir, 0o700))
	must.NoError(t, os.Mkdir(r.work, 0o777))
	must.NoError(t, os.Chmod(r.work, 0o777))
	user := supervisor.User{UID: os.Getuid(), GID: os.Getgid()}
	if os.Geteuid() == 0 {
		user = supervisor.User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent"}
	}
	r.spec = supervisor.Spec{
		TaskID: t.Name(), Command: "/bin/sleep", Args: []string{"3600"}, Dir: r.work, User: user,
		Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone}, StdoutName: "stdout", StderrName: "stderr",
	}
	return r
}

// startingThreads makes the run one that keeps starting threads.
func (r *run) startingThreads() {
	r.t.Helper()
	exe, err := os.ReadFile("/proc/self/exe")
	must.NoError(r.t, err)
	r.spec.Command, r.spec.Args = filepath.Join(filepath.Dir(r.work), "solver"), []string{"solver-threads"}
	must.NoError(r.t, os.WriteFile(r.spec.Command, exe, 0o755)) // where the run's user can execute it
}

// startingProcesses makes the run one of several chains of processes: each starts
// the next and ends.
func (r *run) startingProcesses() {
	const chains = "next() { sleep 0.001; next & }; for chain in 1 2 3 4 5 6 7 8; do next & done; sleep 3600"
	r.spec.Command, r.spec.Args = "/bin/sh", []string{"-c", chains}
}

// launch starts the run's processes, and ends them with the test.
func (r *run) launch() {
	r.t.Helper()
	r.binder.PrepareSpec(&r.spec)
	lock, err := durable.Lock(filepath.Join(r.dir, durable.LockFile), os.O_RDWR|os.O_CREATE)
	must.NoError(r.t, err)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	r.proc, err = supervisor.Start(ctx, supervisor.Launch{Dir: r.dir, Lock: lock, Spec: &r.spec})
	must.NoError(r.t, err)
	launched := r.proc
	r.t.Cleanup(func() {
		end(r.t, launched)
		launched.Close()
	})
}

// end ends every process of a run and waits for it. It may be called again.
func end(t *testing.T, proc *supervisor.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tree, err := proc.Tree()
	must.NoError(t, err)
	must.NoError(t, tree.Kill(ctx))
	select {
	case <-proc.Done():
	case <-ctx.Done():
		t.Errorf("the supervisor of %s did not end", proc.Dir())
	}
}

// open finds the run's processes again, as the next plugin does.
func (r *run) open() *supervisor.Process {
	r.t.Helper()
	proc, err := supervisor.Open(r.dir)
	must.NoError(r.t, err)
	r.t.Cleanup(proc.Close)
	return proc
}

func (r *run) pidFile() pidfile.Record {
	r.t.Helper()
	rec, err := pidfile.Read(filepath.Join(r.dir, "pid"))
	must.NoError(r.t, err)
	return rec
}

func (r *run) pid() int { return r.pidFile().PID }

// threads returns the affinity of every thread, each once.
func (r *run) threads() string {
	r.t.Helper()
	tree, err := r.proc.Tree()
	must.NoError(r.t, err)
	threads, err := tree.Threads()
	must.NoError(r.t, err)
	var lists []string
	for _, thread := range threads {
		lists = append(lists, thread.CPUs.String())
	}
	slices.Sort(lists)
	return strings.Join(slices.Compact(lists), " ")
}

// runsOn demands that the pid file, the lease, the binder and every thread agree.
func (r *run) runsOn(cpus string) {
	r.t.Helper()
	must.Eq(r.t, cpus, r.threads())
	must.Eq(r.t, cpus, cpuset.Of(r.pidFile().Cores...).String())
	must.Eq(r.t, cpus, cpuset.Of(r.binder.CPUs()...).String())
	lease, leased := r.lease()
	must.True(r.t, leased)
	must.Eq(r.t, cpus, lease.CPUs.String())
	must.Eq(r.t, r.pid(), lease.PID)
}

// isConfinedTo demands that the run has no cores of its own, and where it is.
func (r *run) isConfinedTo(cpus string) {
	r.t.Helper()
	must.Eq(r.t, cpus, r.threads())
	must.SliceEmpty(r.t, r.pidFile().Cores)
	must.SliceEmpty(r.t, r.binder.CPUs())
	_, leased := r.lease()
	must.False(r.t, leased)
}

func (r *run) lease() (allocator.Lease, bool) { return r.binder.cores.alloc.Lease(r.dir) }

// said returns the events so far.
func (r *run) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// bindFromOutside puts every thread on some CPUs, as taskset -a does.
func (r *run) bindFromOutside(cpus ...int) {
	r.t.Helper()
	tree, err := r.proc.Tree()
	must.NoError(r.t, err)
	threads, err := tree.Threads()
	must.NoError(r.t, err)
	for _, thread := range threads {
		_ = affinity.Set(thread.TID, cpuset.Of(cpus...)) // it may have ended
	}
}

// online is every CPU of the machine.
func (n *node) online() string { return n.Topology().Online.String() }

// rounds is how often to try what only may go wrong: with -short, under the race
// detector, a quarter of n.
func rounds(n int) int {
	if testing.Short() {
		return max(1, n/4)
	}
	return n
}
