// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/marks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

var update = flag.Bool("update", false, "write the screens of testdata anew")

// screenCores says where the jobs of busyNode run, and what Nomad has reserved
// for another driver's task.
type screenCores struct {
	front, pedestrian, drop cpuset.Set
	reserved                string
}

// busyNode is a machine on which much is going on: jobs on both sockets, one
// whose supervisor is gone and whose threads somebody moved, and one without cores
// of its own.
func busyNode(t *testing.T, shape topologytest.Shape, on screenCores) *node.State {
	t.Helper()
	sysfs := shape.Sysfs(t)
	topologytest.WriteFile(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/reserve/cpuset.cpus"), on.reserved)
	dir := withSettings(t, state.Settings{SMT: "isolate", Layout: "pack"})
	jobs := []nodetest.Task{
		{Job: "crash-front", Alloc: "9c1f04d2", Cores: on.front.Slice(), Since: 2*time.Hour + 7*time.Minute, Stdout: nodetest.Solving(8, 1e-2)},
		{Job: "pedestrian", Alloc: "3f1c2a9b", Cores: on.pedestrian.Slice(), Since: 50*time.Minute + 20*time.Second, Stdout: nodetest.Solving(5, 1e-2)},
		{Job: "drop-test", Alloc: "77aa00bb", Cores: on.drop.Slice(), Since: 30 * time.Minute, Stdout: nodetest.Solving(3, 1e-2)},
		{Job: "roof-crush", Alloc: "e05d8811", Cores: []int{}, Since: 90 * time.Second},
	}
	for _, job := range jobs {
		job.Name = "lsdyna"
		job.Make(t, dir)
	}
	r := &node.Reader{StateDir: dir, Sysfs: sysfs, Timeout: time.Minute}
	t.Cleanup(r.Close)
	facts, err := r.Facts(t.Context())
	must.NoError(t, err)
	must.Len(t, len(jobs), facts.Tasks)
	for i, task := range facts.Tasks { // what the records cannot say: the processes
		task.Details.StartedAt = facts.Now.Add(-jobs[i].Since)
		task.Process.PID = 21350 + 104*i
		task.Kernel = task.Cores
		if task.Job() == "drop-test" {
			task.State = supervisor.Orphaned
			task.Notes = append(task.Notes, "its supervisor is gone, so its exit status will be unknown")
			task.Kernel.Add(task.Cores.Last() + 1)
		}
	}
	return node.NewState(facts, node.Overrides{})
}

// TestStatus_screens compares whole screens with those of testdata. After a change
// that is meant, look at what -update writes.
func TestStatus_screens(t *testing.T) {
	small := busyNode(t, twoSockets, screenCores{
		front: cpuset.Of(0, 1), pedestrian: cpuset.Range(4, 6), drop: cpuset.Of(2), reserved: "7",
	})
	large := busyNode(t, topologytest.Of(2, 1, 8, 8, 2), screenCores{
		front: cpuset.Range(0, 23), pedestrian: cpuset.Range(64, 95), drop: cpuset.Of(32, 33), reserved: "120-127",
	})
	for _, c := range []struct {
		name   string
		state  *node.State
		screen screen.Screen
	}{
		{"status-2x4-cores-40", small, screen.Screen{Width: 40}},
		{"status-2x4-cores-60", small, screen.Screen{Width: 60}},
		{"status-2x4-cores-100", small, screen.Screen{Width: 100}},
		{"status-2x4-cores-160-unicode", small, screen.Screen{Width: 160, Unicode: true}},
		{"status-2x64-cores-40", large, screen.Screen{Width: 40}},
		{"status-2x64-cores-80", large, screen.Screen{Width: 80}},
		{"status-2x64-cores-120", large, screen.Screen{Width: 120}},
		{"status-2x64-cores-120-colour", large, screen.Screen{Width: 120, Unicode: true, Color: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := statusDrawing{State: c.state, screen: c.screen, marks: marks.Marks{}}
			lines := append(d.machine(), d.tasks()...)
			for _, l := range lines {
				must.LessEq(t, c.screen.Width, l.Width())
			}
			checkScreen(t, c.name, c.screen.Render(lines))
		})
	}
}

func checkScreen(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		must.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must.NoError(t, err)
	must.Eq(t, string(want), got)
}

// TestDocs_screensOfStatusAreTheProgramsOwn: every screen of status that README or a page
// of docs/ shows begins with the machine of the screen in testdata, and is that screen.
func TestDocs_screensOfStatusAreTheProgramsOwn(t *testing.T) {
	screen, err := os.ReadFile("testdata/status-2x4-cores-100.txt")
	must.NoError(t, err)
	title, _, _ := strings.Cut(string(screen), "\n")
	paths, err := filepath.Glob("../docs/*.md")
	must.NoError(t, err)
	found := 0
	for _, path := range append(paths, "../README.md") {
		page, err := os.ReadFile(path)
		must.NoError(t, err)
		for i, block := range strings.Split(string(page), "```") {
			if i%2 == 1 && strings.Contains(block, title) {
				must.StrHasSuffix(t, string(screen), block, must.Sprint(path))
				found++
			}
		}
	}
	must.Positive(t, found, must.Sprint("no page shows a screen of status"))
}
