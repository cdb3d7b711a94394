// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/client/lib/cgroupslib"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
)

// A plugin serves a node for months. Whatever a life of a task, or a recovery,
// leaves behind in it adds up: so nothing may be left. `make soak` lets more live.
const (
	soakLives      = "LSDYNA_SOAK_LIVES"
	soakRecoveries = "LSDYNA_SOAK_RECOVERIES"
)

func TestLongLife_LivesAndRecoveriesLeaveNothingBehind(t *testing.T) {
	lives, recoveries := 60, 6
	if testing.Short() {
		lives, recoveries = 18, 2
	}
	lives, recoveries = fromEnv(t, soakLives, lives), fromEnv(t, soakRecoveries, recoveries)
	n := newLoneNode(t) // not in parallel: what is counted is the process's
	l := newLongLife(n)
	began := time.Now()
	for i := range 2 * len(l.ways) { // pools and caches fill once
		l.live(i)
	}
	for range 2 {
		l.recover()
	}
	before := l.settled()
	t.Logf("after the warm-up: %s", before)

	every := max(1, lives/max(1, recoveries))
	for i, recovered := 0, 0; i < lives || recovered < recoveries; i++ {
		if i < lives {
			l.live(i)
		}
		if i%every == 0 && recovered < recoveries {
			l.recover()
			recovered++
		}
		if lives >= 1000 && i%500 == 499 {
			t.Logf("%d lives, %s: %s", i+1, time.Since(began).Round(time.Second), l.rest())
		}
	}
	after := l.settled()
	for end := time.Now().Add(patience); !after.moreThan(before).isNothing() && time.Now().Before(end); {
		after = l.settled() // what is about to end may take its time on a busy machine
	}
	t.Logf("after %d lives and %d recoveries: %s", lives, recoveries, after)
	must.True(t, after.moreThan(before).isNothing(), must.Sprintf("more than after the warm-up: %s", after.moreThan(before)))
	// A task's leftovers of 1 KiB would be twice this much.
	bound := int64(256<<10 + 512*lives)
	must.Less(t, bound, after.heap-before.heap, must.Sprintf("bytes of heap more than after the warm-up; %s, then %s", before, after))
	l.uncollected()
	left, err := os.ReadDir(filepath.Join(n.config.StateDir, "tasks"))
	must.NoError(t, err)
	must.SliceEmpty(t, left)
	must.SliceEmpty(t, n.runs.Find(func(*task.Handle) bool { return true }))
	must.Eq(t, n.cores.Managed(), n.free())
}

// longLife has a node live through one task after the other.
type longLife struct {
	n           *node
	sleep, exit job // solvers: one that stays, one that leaves at once
	ways        []func(*run)
}

// uncollected lets some more live without garbage collection, which closes files
// that were forgotten: what is opened must be closed by whoever opened it. Statistics
// are left out; Nomad's library for them relies on the collector.
func (l *longLife) uncollected() {
	l.n.t.Helper()
	before := l.settled()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for i := range 2 * len(l.ways) {
		if i%len(l.ways) != len(l.ways)-1 {
			l.live(i)
		}
	}
	l.recover()
	more := func() rest { return rest{files: openFiles(l.n.t)}.moreThan(rest{files: before.files}) }
	for end := time.Now().Add(patience); !more().isNothing() && time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
	}
	must.True(l.n.t, more().isNothing(), must.Sprintf("left open: %s", more()))
}

func fromEnv(t *testing.T, name string, standard int) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return standard
	}
	n, err := strconv.Atoi(value)
	must.NoError(t, err, must.Sprintf("%s=%q", name, value))
	return n
}

func newLongLife(n *node) *longLife {
	l := &longLife{n: n, sleep: n.script("echo started; exec sleep 3600"), exit: n.script("echo oops; exit 3")}
	l.ways = []func(*run){
		func(r *run) { must.False(r.t, r.wait().Successful()) }, // the one that leaves
		func(r *run) { r.stop() },
		func(r *run) { must.NoError(r.t, r.n.StopTask(r.id, patience, "SIGTERM")); r.wait() },
		func(r *run) { must.NoError(r.t, r.n.DestroyTask(r.id, true)) },
		l.asked,
		l.measured, // the last: see uncollected
	}
	return l
}

// live starts a task and sees it end, each time in another way.
func (l *longLife) live(i int) {
	l.n.t.Helper()
	way := i % len(l.ways)
	j := l.sleep
	if way == 0 {
		j = l.exit
	}
	r, end := l.start(j)
	l.ways[way](r)
	end()
	if way == 0 { // and one that does not even start
		j.config = strings.Replace(j.config, "stop", "args = [\"i=other.k\"]\nstop", 1)
		cfg := l.n.task(j)
		_, _, err := l.n.StartTask(cfg)
		must.Error(l.n.t, err)
		l.forget(cfg)
	}
}

// measured is a life with statistics.
func (l *longLife) measured(r *run) {
	stats, err := r.n.TaskStats(r.t.Context(), r.id, time.Millisecond)
	must.NoError(r.t, err)
	must.NotNil(r.t, <-stats)
	r.stop()
}

// asked is a life with what else Nomad asks about a task.
func (l *longLife) asked(r *run) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	code, err := r.n.ExecTask(r.id, []string{"/bin/sh", "-c", "exit 5"}, patience)
	must.NoError(r.t, err)
	must.Eq(r.t, 5, code.ExitResult.ExitCode)
	must.NoError(r.t, r.n.SignalTask(r.id, "SIGCONT"))
	lost, err := r.n.WaitTask(ctx, r.id) // a caller who goes away
	must.NoError(r.t, err)
	cancel()
	<-lost
	_, err = r.n.InspectTask(r.id)
	must.NoError(r.t, err)
	r.stop()
}

// recover restarts the driver under tasks that run, and one that ends meanwhile.
func (l *longLife) recover() {
	l.n.t.Helper()
	stays, endStays := l.start(l.sleep)
	ends, endEnds := l.start(l.sleep)
	supervisor := ends.pidFile().SupervisorPID
	l.n.stop()
	must.NoError(l.n.t, syscall.Kill(ends.pid, syscall.SIGKILL))
	eventually(l.n.t, "the supervisor has ended", func() bool { return !alive(supervisor) })
	l.n.launch()
	stays.comeBack()
	ends.comeBack()
	must.False(l.n.t, ends.wait().Successful())
	stays.stop()
	endStays()
	endEnds()
}

// start starts a task as the client does; end destroys it and takes away what the
// client does.
func (l *longLife) start(j job) (r *run, end func()) {
	l.n.t.Helper()
	cfg := l.n.task(j)
	var life cgroupslib.Lifecycle
	if cgroups() {
		life = cgroupslib.Factory(cfg.AllocID, cfg.Name, false)
		must.NoError(l.n.t, life.Setup())
		cfg.Resources.LinuxResources.CpusetCgroupPath = cgroupslib.LinuxResourcesPath(cfg.AllocID, cfg.Name, false)
	}
	handle, _, err := l.n.StartTask(cfg)
	must.NoError(l.n.t, err)
	r = l.n.started(cfg, handle)
	left := r.task().Left()
	return r, func() {
		h, found := l.n.Driver.task(r.id) // another driver's by now, maybe
		must.NoError(l.n.t, l.n.DestroyTask(r.id, true))
		<-left // the folder's record is written to until then
		if found == nil {
			<-h.Left()
		}
		if life != nil {
			must.NoError(l.n.t, life.Teardown())
		}
		l.forget(cfg)
	}
}

// forget removes what the test itself keeps of a task.
func (l *longLife) forget(cfg *drivers.TaskConfig) {
	l.n.mu.Lock()
	l.n.events = nil
	l.n.mu.Unlock()
	folders, err := filepath.Glob(filepath.Join(l.n.work, "run-*"))
	must.NoError(l.n.t, err)
	for _, folder := range folders {
		must.NoError(l.n.t, os.RemoveAll(folder))
	}
	must.NoError(l.n.t, os.RemoveAll(cfg.AllocDir))
}

// rest is what a process holds, by its kind.
type rest struct {
	goroutines map[string]int // by what they wait in
	files      map[string]int // by what is open
	watches    int            // of inotify
	children   int            // processes, zombies too
	heap       int64          // bytes in use after a collection
}

// settled returns what is held once it does not change from one look to the next.
func (l *longLife) settled() rest {
	l.n.t.Helper()
	now := l.rest()
	eventually(l.n.t, "the process is at rest", func() bool {
		last := now
		now = l.rest()
		return now.moreThan(last).isNothing() && last.moreThan(now).isNothing()
	})
	return now
}

func (l *longLife) rest() rest {
	l.n.t.Helper()
	var mem runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	runtime.ReadMemStats(&mem)
	return rest{
		goroutines: goroutines(l.n.t), files: openFiles(l.n.t), watches: watches(l.n.t), children: children(l.n.t),
		heap: int64(mem.HeapAlloc),
	}
}

// openFiles counts this process's by what they are.
func openFiles(t *testing.T) map[string]int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must.NoError(t, err)
	files := map[string]int{}
	for _, entry := range entries {
		// Not that of the listing itself.
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && !strings.HasSuffix(target, "/fd") {
			files[unnumbered.ReplaceAllString(target, "N")]++
		}
	}
	return files
}

// watches counts this process's inotify watches.
func watches(t *testing.T) (n int) {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	must.NoError(t, err)
	for _, info := range infos {
		data, _ := os.ReadFile(info) // may be closed by now
		n += strings.Count(string(data), "inotify wd:")
	}
	return n
}

// unnumbered are the parts of names that differ from file to file of one kind.
var unnumbered = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+`)

var goroutineStack = regexp.MustCompile(`(?m)^(\d+) @.*\n((?:#.*\n)*)`)

// goroutines counts them by their stacks' functions.
func goroutines(t *testing.T) map[string]int {
	t.Helper()
	var b strings.Builder
	must.NoError(t, pprof.Lookup("goroutine").WriteTo(&b, 1))
	counts := map[string]int{}
	for _, m := range goroutineStack.FindAllStringSubmatch(b.String(), -1) {
		n, err := strconv.Atoi(m[1])
		must.NoError(t, err)
		var names []string
		for line := range strings.Lines(m[2]) {
			if fields := strings.Fields(line); len(fields) > 2 {
				name, _, _ := strings.Cut(fields[2], "+0x")
				names = append(names, name)
			}
		}
		counts[strings.Join(names, " < ")] += n
	}
	return counts
}

// children counts this process's own, zombies included.
func children(t *testing.T) int {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	must.NoError(t, err)
	n := 0
	for _, list := range lists {
		if f, err := os.Open(list); err == nil {
			data, _ := io.ReadAll(f)
			_ = f.Close()
			n += len(strings.Fields(string(data)))
		}
	}
	return n
}

// moreThan returns what is there beyond what was there before. Less is no leak:
// tests that ran earlier in this process may have been still about to end.
func (r rest) moreThan(before rest) rest {
	beyond := func(now, was map[string]int) map[string]int {
		more := map[string]int{}
		for kind, n := range now {
			if n > was[kind] {
				more[kind] = n - was[kind]
			}
		}
		return more
	}
	return rest{
		goroutines: beyond(r.goroutines, before.goroutines), files: beyond(r.files, before.files),
		watches: max(0, r.watches-before.watches), children: max(0, r.children-before.children),
	}
}

func (r rest) isNothing() bool {
	return len(r.goroutines) == 0 && len(r.files) == 0 && r.watches == 0 && r.children == 0
}

func (r rest) String() string {
	count := func(of map[string]int) (n int) {
		for _, m := range of {
			n += m
		}
		return n
	}
	s := fmt.Sprintf("%d goroutines, %d files, %d inotify watches, %d children, heap %.2f MiB",
		count(r.goroutines), count(r.files), r.watches, r.children, float64(r.heap)/(1<<20))
	if r.heap == 0 { // a difference
		for _, of := range []map[string]int{r.goroutines, r.files} {
			for _, kind := range slices.Sorted(maps.Keys(of)) {
				s += fmt.Sprintf("\n%d × %s", of[kind], kind)
			}
		}
	}
	return s
}
