// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// site is an agent with the driver, the stand-in solver and a place for run
// folders.
type site struct {
	*cluster.Agent
	t       *testing.T
	scratch string   // the node's work root
	roots   []string // its other work roots
	solver  string   // the stand-in's path, this test's own
}

// newSite starts an agent with the driver. config is added to the plugin's block.
func newSite(t *testing.T, config string, adjust ...func(*cluster.Config)) *site {
	t.Helper()
	s := &site{t: t, scratch: worldReadable(t)}
	s.begin(config, adjust...)
	return s
}

// worldReadable is a temporary folder that tasks of any user get into.
func worldReadable(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for dir := path; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	return path
}

// begin starts the site's agent.
func (s *site) begin(config string, adjust ...func(*cluster.Config)) {
	t := s.t
	t.Helper()
	cfg := cluster.Config{Plugin: binary(t, "nomad-driver-lsdyna")}
	for _, f := range adjust {
		f(&cfg)
	}
	s.Agent = newClient(t, cfg)
	var err error
	s.solver, err = s.InstallBinary(binary(t, "lsdyna-standin"), "standin_smp_d_R14")
	must.NoError(t, err)
	s.Config.PluginConfig = s.pluginConfig(config)
	start(t, s.Agent)
	must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
}

// pluginConfig is the plugin's block. "@solver@" in what is added is the stand-in's path.
func (s *site) pluginConfig(extra string) string {
	roots := append(slices.Clone(s.roots), s.scratch)
	return fmt.Sprintf(`
    state_dir  = %q
    work_roots = ["%s"]
    solver "standin" {
      path = %q
    }
%s`, s.StateDir(), strings.Join(roots, `", "`), s.solver, strings.ReplaceAll(extra, "@solver@", s.solver))
}

// run is a job of one task and its run folder.
type run struct {
	s      *site
	job    string
	folder string
	alloc  string
}

// deck makes a run folder with a copy of an example deck.
func (s *site) deck(name, deck string) string {
	s.t.Helper()
	return s.deckBelow(s.scratch, name, deck)
}

// deckBelow is deck for a run folder in another place.
func (s *site) deckBelow(root, name, deck string) string {
	s.t.Helper()
	folder := filepath.Join(root, name)
	must.NoError(s.t, os.Mkdir(folder, 0o755))
	from := filepath.Join("..", "example", "decks", deck)
	files, err := os.ReadDir(from)
	must.NoError(s.t, err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		must.NoError(s.t, err)
		must.NoError(s.t, os.WriteFile(filepath.Join(folder, f.Name()), data, 0o644))
	}
	s.give(folder)
	return folder
}

// give hands a folder to the user that tasks run as.
func (s *site) give(folder string) {
	if s.Config.UID == 0 && os.Geteuid() == 0 {
		must.NoError(s.t, os.Chown(folder, 65534, 65534))
	} else if s.Config.UID != 0 {
		must.NoError(s.t, os.Chown(folder, s.Config.UID, s.Config.UID))
	}
}

// jobHCL is a job of one task. config goes into the task's config block, and
// task beside it; env is the stand-in's.
type jobHCL struct {
	name, folder, config, task, resources, env string
	solver                                     string // "standin" when empty
}

func (j jobHCL) String() string {
	if j.resources == "" {
		j.resources = "cpu = 100"
	}
	if j.solver == "" {
		j.solver = "standin"
	}
	return fmt.Sprintf(`
job %q {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "lsdyna" {
      driver = "lsdyna"
      config {
        solver   = %q
        work_dir = %q
        input    = "main.k"
        %s
      }
      env {
        %s
      }
      kill_timeout = "60s"
      %s
      resources {
        %s
        memory = 300
      }
    }
  }
}`, j.name, j.solver, j.folder, j.config, j.env, j.task, j.resources)
}

// slow stretches the stand-in's run so that there is time to look at it.
const slow = `STANDIN_PACE = "20ms"`

// start submits a job and waits until its solver runs.
func (s *site) start(j jobHCL) *run {
	s.t.Helper()
	r := s.submit(j)
	alloc, err := s.WaitAlloc(within(s.t), r.alloc, cluster.ClientStatus(api.AllocClientStatusRunning), cluster.TaskState("lsdyna", "running"))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, cluster.DescribeAlloc(alloc))
	}
	return r
}

func (s *site) submit(j jobHCL) *run {
	s.t.Helper()
	alloc, err := s.Run(within(s.t), j.String())
	must.NoError(s.t, err)
	return &run{s: s, job: j.name, folder: j.folder, alloc: alloc}
}

// wait waits for the allocation to reach a status.
func (r *run) wait(status string, conditions ...cluster.Condition) *api.Allocation {
	r.s.t.Helper()
	alloc, err := r.s.WaitAlloc(within(r.s.t), r.alloc, append(conditions, cluster.ClientStatus(status))...)
	if err != nil {
		r.s.t.Fatalf("%v\n%s\n%s", err, cluster.DescribeAlloc(alloc), r.s.LogTail(8000))
	}
	return alloc
}

// pidFile reads the record's pid file.
func (r *run) pidFile() pidfile.Record {
	r.s.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.s.StateDir(), "tasks", r.alloc, "lsdyna", "*", "pid"))
	must.NoError(r.s.t, err)
	must.Len(r.s.t, 1, paths)
	rec, err := pidfile.Read(paths[0])
	must.NoError(r.s.t, err)
	return rec
}

// solvers returns the live processes of this site's stand-in in a run's folder.
func (r *run) solvers() []proc.Process {
	r.s.t.Helper()
	all, err := proc.WithExe(r.s.solver)
	must.NoError(r.s.t, err)
	var own []proc.Process
	for _, p := range all {
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID)); err == nil && cwd == r.folder && p.Alive() {
			own = append(own, p)
		}
	}
	return own
}

func TestDriver_RunsADeckToItsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.submit(jobHCL{name: "bar", folder: s.deck("bar", "solid_bar_impact"), config: "ncpu = 2"})
	alloc := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Allocated cores 0-1 (2 cores"))
	code, signal, err := cluster.Exit(alloc, "lsdyna")
	must.NoError(t, err)
	must.Eq(t, 0, code)
	must.Eq(t, 0, signal)
	events := strings.Join(cluster.Events(alloc, "lsdyna"), "\n")
	t.Log(events)
	must.StrContains(t, events, "ormal termination")
}
