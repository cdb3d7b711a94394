// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cgroupslib"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settle"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/supervisortest"
)

// node is one Nomad client as the driver sees it: its configuration, its disk,
// and the driver that serves it now.
type node struct {
	*Driver
	t      *testing.T
	config *settings.Config
	work   string // a work root
	end    context.CancelFunc
	waits  task.Patience        // of its driver
	log    *hclog.LoggerOptions // of its driver; nil: warnings, to the test's log

	mu     sync.Mutex
	events []*drivers.TaskEvent
}

// newNode starts a driver for a fresh state_dir. Tests with nodes run beside
// each other: each node believes that all cores are its own.
func newNode(t *testing.T, adjust ...func(*settings.Config)) *node {
	t.Helper()
	t.Parallel()
	return newLoneNode(t, adjust...)
}

// longPatience is a node's, unless a test wants less.
var longPatience = task.Patience{
	Patience: settle.Patience{Silent: patience, Missing: time.Second, Stopped: patience, Partial: patience},
	Dump:     patience, Unclaimed: time.Hour,
}

// newLoneNode is newNode for tests that change what others rely on, such as the
// cores that Nomad has reserved.
func newLoneNode(t *testing.T, adjust ...func(*settings.Config)) *node {
	t.Helper()
	base := worldReadable(t)
	n := &node{t: t, work: filepath.Join(base, "work"), waits: longPatience, config: &settings.Config{
		Enabled: true, StateDir: filepath.Join(base, "state"), AllowCommand: true,
		Solvers: map[string]settings.SolverConfig{"standin": {Path: standin}},
	}}
	must.NoError(t, os.Mkdir(n.work, 0o755))
	n.config.WorkRoots = []string{n.work}
	for _, f := range adjust {
		f(n.config)
	}
	n.launch()
	t.Cleanup(func() {
		for _, live := range n.runs.Find(func(h *task.Handle) bool { return !h.IsGone() }) {
			// Nobody wants its dump.
			if err := errors.Join(live.Kill(n.ctx), n.DestroyTask(live.ID.String(), true)); err != nil {
				t.Errorf("clean up task %s: %v", live.ID, err)
			}
		}
		for _, gone := range n.runs.Find(func(h *task.Handle) bool { return h.Details() != nil && !h.IsEnded() }) {
			<-gone.Ended() // the last is written to its run folder before
		}
		n.stop()
		supervisortest.EndAll(t, n.config.StateDir) // also of tasks that the driver does not know
	})
	return n
}

// worldReadable is a temporary folder that tasks of any user get into.
func worldReadable(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	return base
}

// launch starts a driver as the agent does.
func (n *node) launch() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := cmp.Or(n.log, &hclog.LoggerOptions{Level: hclog.Warn, Output: testWriter{n.t}})
	n.Driver, n.end = New(ctx, hclog.New(log)), cancel
	n.patience.ends = n.waits
	must.NoError(n.t, n.SetConfig(encodeConfig(n.t, n.config)))
	ch, err := n.TaskEvents(ctx)
	must.NoError(n.t, err)
	go func() {
		for event := range ch {
			n.mu.Lock()
			n.events = append(n.events, event)
			n.mu.Unlock()
		}
	}()
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil { // the test's clean-up has not begun
		w.t.Logf("%s", strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func encodeConfig(t *testing.T, config *settings.Config) *base.Config {
	t.Helper()
	var data []byte
	must.NoError(t, base.MsgPackEncode(&data, config))
	return &base.Config{
		ApiVersion: drivers.ApiVersion010, PluginConfig: data,
		AgentConfig: &base.AgentConfig{Driver: &base.ClientDriverConfig{Topology: nomadTopology()}},
	}
}

// stop ends the driver without touching its tasks, as the end of the plugin's
// process does: all that is left is on disk.
func (n *node) stop() {
	n.end()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("the driver does not end: %v", err)
	}
}

// change has the driver go by another plugin block.
func (n *node) change(config *settings.Config) {
	n.t.Helper()
	parsed, err := settings.Parse(*config)
	must.NoError(n.t, err)
	n.Driver.mu.Lock()
	defer n.Driver.mu.Unlock()
	n.agent.settings = parsed
}

// lease returns the cores that a task has leased.
func (n *node) lease(owner string) (allocator.Lease, bool) {
	for _, l := range n.cores.Leases() {
		if l.Owner == owner {
			return l, true
		}
	}
	return allocator.Lease{}, false
}

// free are the cores that no task has.
func (n *node) free() cpuset.Set {
	free := n.cores.Managed()
	for _, l := range n.cores.Leases() {
		free = free.Difference(l.CPUs)
	}
	return free
}

func (n *node) available() int { return n.free().Len() }

// restart puts a new driver in the place of the old one.
func (n *node) restart() {
	n.t.Helper()
	n.stop()
	n.launch()
}

// said returns what the driver said of a task so far, in all its lives.
func (n *node) said(taskID string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var words []string
	for _, event := range n.events {
		if event.TaskID == taskID {
			words = append(words, event.Message)
		}
	}
	return words
}

// hears waits for an event.
func (n *node) hears(taskID, words string) {
	n.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(strings.Join(n.said(taskID), "\n"), words) {
			return
		}
	}
	n.t.Fatalf("no event %q among:\n%s", words, strings.Join(n.said(taskID), "\n"))
}

// folder makes a run folder of the tasks' user below the work root.
func (n *node) folder(files map[string]string) string {
	n.t.Helper()
	dir, err := os.MkdirTemp(n.work, "run-")
	must.NoError(n.t, err)
	for name, content := range files {
		must.NoError(n.t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if os.Geteuid() == 0 {
		must.NoError(n.t, os.Chown(dir, 65534, 65534))
	}
	return dir
}

// deckFiles is a run of the stand-in solver: a Taylor bar of 600 cycles, or of 60,
// some tenths of a second without a pace.
func deckFiles(t *testing.T, long bool) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"main.k", "mesh.k", "material.k"} {
		data, err := os.ReadFile(filepath.Join("../example/decks/solid_bar_impact", name))
		must.NoError(t, err)
		files[name] = string(data)
	}
	short := strings.Replace(files["main.k"], "tend      0.06", "tend     0.006", 1)
	must.NotEq(t, files["main.k"], short)
	if !long {
		files["main.k"] = short
	}
	return files
}

// job is a task to be.
type job struct {
	config string            // HCL, beside work_dir and input
	files  map[string]string // run folder's; the deck when nil
	long   bool              // the deck's full length
	env    map[string]string
	user   string
	cores  string // reserved by Nomad: resources.cores
	cgroup bool   // with cgroups, as a client that runs as root makes them
	memory int64  // MiB, 0 for 512
	alloc  string // allocation, "" for a new one
	folder string // run folder, "" for a new one
}

// standinJob is a short run of the stand-in solver.
func standinJob(config string, faults ...string) job {
	j := job{config: "solver = \"standin\"\n" + config}
	if len(faults) > 0 {
		j.env = map[string]string{"STANDIN_FAULT": strings.Join(faults, ",")}
	}
	return j
}

// slowJob is a run of the stand-in solver that does not end by itself within a
// test, and looks for sense switches five times a second.
func slowJob(config string, faults ...string) job {
	j := standinJob(config, faults...)
	j.long = true
	if j.env == nil {
		j.env = map[string]string{}
	}
	j.env["STANDIN_PACE"] = "200ms"
	return j
}

// script is a task that runs a shell script as its solver.
func (n *node) script(body string) job {
	n.t.Helper()
	f, err := os.CreateTemp(n.work, "solver-*.sh")
	must.NoError(n.t, err)
	must.NoError(n.t, f.Chmod(0o755))
	_, err = f.WriteString("#!/bin/sh\n" + body + "\n")
	must.NoError(n.t, err)
	must.NoError(n.t, f.Close())
	return job{config: fmt.Sprintf("command = %q\n stop = \"\"", f.Name()), files: map[string]string{"main.k": "*KEYWORD\n*END\n"}}
}

// task makes Nomad's description of a task.
func (n *node) task(j job) *drivers.TaskConfig {
	n.t.Helper()
	if j.files == nil {
		j.files = deckFiles(n.t, j.long)
	}
	folder := j.folder
	if folder == "" {
		folder = n.folder(j.files)
	}
	if j.alloc == "" {
		j.alloc = uuid.Generate()
	}
	cfg := &drivers.TaskConfig{
		AllocID: j.alloc, Name: "solve", JobName: "crash", JobID: "crash", TaskGroupName: "g", Namespace: "default",
		ID:       j.alloc + "/solve/" + uuid.Short(),
		AllocDir: filepath.Join(n.work, "alloc-"+j.alloc), User: j.user, Env: map[string]string{"PATH": os.Getenv("PATH")},
		Resources: resources(j),
	}
	maps.Copy(cfg.Env, j.env)
	var config settings.TaskConfig
	input := "input = \"main.k\"\n"
	if strings.Contains(j.config, "input =") {
		input = ""
	}
	hclutils.NewConfigParser(settings.TaskSpec).ParseHCL(n.t, fmt.Sprintf("config {\n%s%s\nwork_dir = %q\n}", input, j.config, folder), &config)
	must.NoError(n.t, cfg.EncodeConcreteDriverConfig(&config))
	if j.cgroup {
		needCgroups(n.t)
		makeCgroup(n.t, cfg, j.cores != "")
	}
	return cfg
}

func resources(j job) *drivers.Resources {
	if j.memory == 0 {
		j.memory = 512
	}
	return &drivers.Resources{
		NomadResources: &structs.AllocatedTaskResources{
			Memory: structs.AllocatedMemoryResources{MemoryMB: j.memory},
			Cpu:    structs.AllocatedCpuResources{CpuShares: 100},
		},
		LinuxResources: &drivers.LinuxResources{CPUShares: 100, MemoryLimitBytes: j.memory << 20, CpusetCpus: j.cores},
	}
}

// makeCgroup makes a task's cgroups as the Nomad client does, and ends what is
// in them with the test.
func makeCgroup(t *testing.T, cfg *drivers.TaskConfig, reserved bool) {
	t.Helper()
	life := cgroupslib.Factory(cfg.AllocID, cfg.Name, reserved)
	must.NoError(t, life.Setup())
	path := cgroupslib.LinuxResourcesPath(cfg.AllocID, cfg.Name, reserved)
	cfg.Resources.LinuxResources.CpusetCgroupPath = path
	if reserved {
		must.NoError(t, setPartition("reserve", cfg.Resources.LinuxResources.CpusetCpus))
	}
	t.Cleanup(func() {
		_ = life.Kill()
		_ = life.Teardown()
		if !reserved {
			return
		}
		eventually(t, "the cgroup can be removed", func() bool {
			err := os.Remove(path)
			return err == nil || errors.Is(err, os.ErrNotExist)
		})
		freeReserved(t)
	})
}

// freeReserved empties the partition of reserved cores, unless another task has some. The
// kernel counts a cgroup's cpuset for a while after the cgroup was removed.
func freeReserved(t *testing.T) {
	t.Helper()
	eventually(t, "the partition is empty", func() bool {
		err := setPartition("reserve", "")
		if !errors.Is(err, syscall.EBUSY) {
			must.NoError(t, err)
			return true
		}
		others, err := filepath.Glob(filepath.Join(partition("reserve"), "*", "cgroup.procs"))
		must.NoError(t, err)
		return len(others) > 0
	})
}

// run is a started task.
type run struct {
	n      *node
	t      *testing.T
	cfg    *drivers.TaskConfig
	handle *drivers.TaskHandle
	id     string
	folder string
	pid    int
}

// start starts a task.
func (n *node) start(j job) *run {
	n.t.Helper()
	cfg := n.task(j)
	handle, network, err := n.StartTask(cfg)
	must.NoError(n.t, err)
	must.Nil(n.t, network)
	return n.started(cfg, handle)
}

func (n *node) started(cfg *drivers.TaskConfig, handle *drivers.TaskHandle) *run {
	n.t.Helper()
	r := &run{n: n, t: n.t, cfg: cfg, handle: handle, id: cfg.ID}
	t, err := n.Driver.task(cfg.ID)
	must.NoError(n.t, err)
	r.folder, r.pid = t.Folder(), t.PID()
	_, err = n.WaitTask(n.t.Context(), r.id) // as the client does at once: lets the events through
	must.NoError(n.t, err)
	return r
}

// task is the driver's own view of the run.
func (r *run) task() *task.Handle {
	r.t.Helper()
	t, err := r.n.Driver.task(r.id)
	must.NoError(r.t, err)
	return t
}

// wait waits for the result.
func (r *run) wait() *drivers.ExitResult {
	r.t.Helper()
	ch, err := r.n.WaitTask(r.t.Context(), r.id)
	must.NoError(r.t, err)
	select {
	case result := <-ch:
		must.NotNil(r.t, result)
		return result
	case <-time.After(patience):
		r.t.Fatalf("the task did not end within %s; it said:\n%s", patience, r.read("stdout"))
	}
	return nil
}

// read returns a file of the run folder, "" while there is none.
func (r *run) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(r.folder, name))
	return string(data)
}

// says waits for the solver to print something.
func (r *run) says(words string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("the solver says %q", words), func() bool { return strings.Contains(r.read("stdout"), words) })
}

func (r *run) recordDir() string { return filepath.Join(r.n.config.StateDir, "tasks", r.id) }

func (r *run) pidPath() string { return filepath.Join(r.recordDir(), "pid") }

func (r *run) pidFile() pidfile.Record {
	r.t.Helper()
	rec, err := pidfile.Read(r.pidPath())
	must.NoError(r.t, err)
	return rec
}

// threads returns the affinity of every thread of the solver, as the kernel
// prints it, each once.
func (r *run) threads() []string {
	r.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.pid))
	must.NoError(r.t, err)
	var lists []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		lists = append(lists, statusField(string(data), "Cpus_allowed_list"))
	}
	slices.Sort(lists)
	return slices.Compact(lists)
}

func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// stop stops the run hard.
func (r *run) stop() *drivers.ExitResult {
	r.t.Helper()
	must.NoError(r.t, r.n.StopTask(r.id, 0, "SIGKILL"))
	return r.wait()
}
