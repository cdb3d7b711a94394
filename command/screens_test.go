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
func busyNode(t *testing.T, m machine, on screenCores) *survey {
	t.Helper()
	sysfs := m.sysfs(t)
	put(t, filepath.Join(sysfs, "fs/cgroup/cpuset/nomad/reserve/cpuset.cpus"), on.reserved)
	dir := told(t, state.Settings{SMT: "isolate", Layout: "pack"})
	jobs := []madeTask{
		{job: "crash-front", alloc: "9c1f04d2", cores: on.front.Slice(), since: 2*time.Hour + 7*time.Minute, stdout: solving(8, 1e-2)},
		{job: "pedestrian", alloc: "3f1c2a9b", cores: on.pedestrian.Slice(), since: 50*time.Minute + 20*time.Second, stdout: solving(5, 1e-2)},
		{job: "drop-test", alloc: "77aa00bb", cores: on.drop.Slice(), since: 30 * time.Minute, stdout: solving(3, 1e-2)},
		{job: "roof-crush", alloc: "e05d8811", cores: []int{}, since: 90 * time.Second},
	}
	for _, job := range jobs {
		job.task = "lsdyna"
		job.make(t, dir)
	}
	v := &surveyor{stateDir: dir, sysfs: sysfs, patience: time.Minute, readings: readings{}}
	defer v.readings.close()
	s, err := v.look(t.Context())
	must.NoError(t, err)
	must.Len(t, len(jobs), s.tasks)
	for i, task := range s.tasks { // what the records cannot say: the processes
		task.details.StartedAt = s.now.Add(-jobs[i].since)
		task.process.PID = 21350 + 104*i
		task.kernel = task.cores
		if task.job() == "drop-test" {
			task.state = supervisor.Orphaned
			task.notes = append(task.notes, "its supervisor is gone, so its exit status will be unknown")
			task.kernel.Add(task.cores.Last() + 1)
		}
	}
	s.conclude(v)
	return s
}

// TestStatus_screens compares whole screens with those of testdata. After a change
// that is meant, look at what -update writes.
func TestStatus_screens(t *testing.T) {
	small := busyNode(t, twoSockets, screenCores{
		front: cpuset.Of(0, 1), pedestrian: cpuset.Range(4, 6), drop: cpuset.Of(2), reserved: "7",
	})
	large := busyNode(t, machine{packages: 2, nodes: 1, l3s: 8, cores: 8, threads: 2}, screenCores{
		front: cpuset.Range(0, 23), pedestrian: cpuset.Range(64, 95), drop: cpuset.Of(32, 33), reserved: "120-127",
	})
	for _, c := range []struct {
		name   string
		survey *survey
		screen screen
	}{
		{"status-2x4-cores-60", small, screen{width: 60}},
		{"status-2x4-cores-100", small, screen{width: 100}},
		{"status-2x4-cores-160-unicode", small, screen{width: 160, unicode: true}},
		{"status-2x64-cores-80", large, screen{width: 80}},
		{"status-2x64-cores-120", large, screen{width: 120}},
		{"status-2x64-cores-120-colour", large, screen{width: 120, unicode: true, color: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			machine, rest := drawStatus(c.survey, c.screen, letters{})
			lines := append(machine, rest...)
			for _, l := range lines {
				must.LessEq(t, c.screen.width, l.width())
			}
			checkScreen(t, c.name, c.screen.render(lines))
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

// TestReadme_screensOfStatusAreTheProgramsOwn: every screen of status that README
// shows begins with the machine of the screen in testdata, and is that screen.
func TestReadme_screensOfStatusAreTheProgramsOwn(t *testing.T) {
	screen, err := os.ReadFile("testdata/status-2x4-cores-100.txt")
	must.NoError(t, err)
	readme, err := os.ReadFile("../README.md")
	must.NoError(t, err)
	title, _, _ := strings.Cut(string(screen), "\n")
	for i, block := range strings.Split(string(readme), "```") {
		if i%2 == 1 && strings.Contains(block, title) {
			must.StrHasSuffix(t, string(screen), block)
		}
	}
}
