// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// Whatever can happen to a task happens to it at once: it is started, recovered,
// asked, bound elsewhere, signalled, stopped and destroyed while its solver ends
// and its next run begins. Each call returns, the race detector sees nothing, and
// in the end no process, no record and no leased core is left.
func TestTask_EverythingAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		job  func(*node) job
	}{
		{"a solver that stays", func(n *node) job { return n.script("exec sleep 3600") }},
		{"a solver that ends soon", func(n *node) job { return n.script("sleep 1; exit 3") }},
		{"a solver that obeys switches", func(*node) job { return slowJob("ncpu = 1") }},
		{"a solver that ignores signals", func(*node) job { return slowJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil") }},
		{"a solver with children", func(n *node) job { return n.script("trap '' TERM; setsid sleep 3600 & sleep 3600") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t)
			n.waits.Dump = time.Second
			n.patience.ends = n.waits
			for round, begin := range []func(*stress){(*stress).start, (*stress).startAndRestart, (*stress).startAndMiss} {
				s := newStress(n, c.job(n), uint64(round))
				begin(s)
				s.run()
				s.checkNothingLeft()
			}
		})
	}
}

// stress is one task whose runs follow each other in one folder.
type stress struct {
	n    *node
	t    *testing.T
	job  job
	cpus []int // that the test may run on
	seed uint64

	mu      sync.Mutex
	handles []*drivers.TaskHandle // of all its runs, the newest last
}

// startAndRestart has the task be one that the driver adopted.
func (s *stress) startAndRestart() {
	s.start()
	s.n.restart()
}

// startAndMiss has the task's first run be over when the driver comes back.
func (s *stress) startAndMiss() {
	s.start()
	s.n.stop()
	s.end()
	s.n.launch()
}

func newStress(n *node, j job, seed uint64) *stress {
	n.t.Helper()
	if j.files == nil {
		j.files = deckFiles(n.t, j.long)
	}
	j.folder, j.alloc = n.folder(j.files), uuid.Generate()
	own, err := affinity.Get(0)
	must.NoError(n.t, err)
	return &stress{n: n, t: n.t, job: j, cpus: own.Slice(), seed: seed}
}

// run starts the task and has everybody at it, until all have done their part.
func (s *stress) run() {
	s.t.Helper()
	must.SliceLen(s.t, 1, s.handles)
	actors := []func(*rand.Rand){
		s.often(s.recover), s.often(s.recover), s.often(s.inspect), s.often(s.measure), s.often(s.wait),
		s.often(s.bind), s.often(s.signal), s.often(s.exec),
		s.once(s.stop), s.once(s.stop), s.once(s.destroy), s.once(s.end), s.once(s.start),
	}
	var all sync.WaitGroup
	for i, act := range actors {
		rng := rand.New(rand.NewPCG(s.seed, uint64(i)))
		all.Go(func() { act(rng) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	select {
	case <-done:
	case <-time.After(3 * patience):
		panic(fmt.Sprintf("a call about a task does not return; seed %d", s.seed)) // shows all goroutines
	}
}

// length is how long a round takes at least: the driver looks at its cores every
// two seconds.
const length = 3 * time.Second

// often repeats a call for the length of a round.
func (s *stress) often(call func(*drivers.TaskHandle)) func(*rand.Rand) {
	return func(rng *rand.Rand) {
		for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) {
			call(s.some(rng))
		}
	}
}

// once makes a call at some time in the round.
func (s *stress) once(call func()) func(*rand.Rand) {
	return func(rng *rand.Rand) {
		time.Sleep(time.Duration(rng.Int64N(int64(length)))) //nolint:forbidigo // at random, whatever the others do
		call()
	}
}

// some returns the handle of a run.
func (s *stress) some(rng *rand.Rand) *drivers.TaskHandle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles[rng.IntN(len(s.handles))]
}

func (s *stress) newest() *drivers.TaskHandle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles[len(s.handles)-1]
}

// start begins another run of the task; the driver ends the one before.
func (s *stress) start() {
	handle, _, err := s.n.StartTask(s.n.task(s.job))
	if err != nil {
		s.t.Logf("start: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handles = append(s.handles, persist(s.t, handle))
}

// What comes of these calls depends on who was first. What counts is that they
// return.

func (s *stress) recover(h *drivers.TaskHandle) { _ = s.n.RecoverTask(h) }

func (s *stress) inspect(h *drivers.TaskHandle) { _, _ = s.n.InspectTask(h.Config.ID) }

func (s *stress) signal(h *drivers.TaskHandle) { _ = s.n.SignalTask(h.Config.ID, "SIGCONT") }

func (s *stress) exec(h *drivers.TaskHandle) {
	_, _ = s.n.ExecTask(h.Config.ID, []string{"/bin/true"}, patience)
}

func (s *stress) measure(h *drivers.TaskHandle) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	if usage, err := s.n.TaskStats(ctx, h.Config.ID, time.Millisecond); err == nil {
		<-usage
	}
}

// wait is a caller who goes away after a while.
func (s *stress) wait(h *drivers.TaskHandle) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 200*time.Millisecond)
	defer cancel()
	if result, err := s.n.WaitTask(ctx, h.Config.ID); err == nil {
		<-result
	}
}

func (s *stress) stop() { _ = s.n.StopTask(s.newest().Config.ID, time.Second, "SIGTERM") }

func (s *stress) destroy() { _ = s.n.DestroyTask(s.newest().Config.ID, true) }

// pid returns the solver of a run, 0 without a pid file.
func (s *stress) pid(h *drivers.TaskHandle) int {
	rec, err := pidfile.Read(filepath.Join(s.n.config.StateDir, "tasks", h.Config.ID, "pid"))
	if err != nil {
		return 0
	}
	return rec.PID
}

// end kills the newest solver behind the driver's back.
func (s *stress) end() {
	if pid := s.pid(s.newest()); pid != 0 && s.isOurs(pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// bind binds every thread of a solver to one CPU or another.
func (s *stress) bind(h *drivers.TaskHandle) {
	pid := s.pid(h)
	if pid == 0 || !s.isOurs(pid) {
		return
	}
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	var mask unix.CPUSet
	mask.Set(s.cpus[rand.IntN(len(s.cpus))])
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.SchedSetaffinity(tid, &mask)
		}
	}
}

// isOurs reports whether a process runs in the task's folder: its pid may be
// somebody else's by now.
func (s *stress) isOurs(pid int) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == s.job.folder
}

// checkNothingLeft ends what still runs, as Nomad would, and starts a task that
// needs every core.
func (s *stress) checkNothingLeft() {
	s.t.Helper()
	for _, h := range s.handles {
		must.NoError(s.t, s.n.StopTask(h.Config.ID, 0, "SIGKILL"))
		must.NoError(s.t, s.n.DestroyTask(h.Config.ID, true))
		_, err := s.n.InspectTask(h.Config.ID)
		must.ErrorIs(s.t, err, drivers.ErrTaskNotFound)
	}
	eventually(s.t, "no process is left in the run folder", func() bool { return len(solversIn(s.t, s.job.folder)) == 0 })
	left, err := filepath.Glob(filepath.Join(s.n.config.StateDir, "tasks", s.job.alloc, "*", "*"))
	must.NoError(s.t, err)
	must.SliceEmpty(s.t, left)

	topo, _, err := topology.Discover("")
	must.NoError(s.t, err)
	all := s.n.script("exec sleep 3600")
	all.config += fmt.Sprintf("\nshortage = \"retry\"\nncpu = %d", min(topo.PhysicalCores(), len(s.cpus)))
	cfg := s.n.task(all)
	_, _, err = s.n.StartTask(cfg)
	must.NoError(s.t, err)
	must.False(s.t, strings.Contains(strings.Join(s.n.said(cfg.ID), "\n"), "without affinity"))
	must.NoError(s.t, s.n.DestroyTask(cfg.ID, true))
}
