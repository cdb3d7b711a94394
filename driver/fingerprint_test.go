// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/health"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
)

// disk is a file system of executables and others.
func disk(modes map[string]fs.FileMode) func(string) (os.FileInfo, error) {
	files := fstest.MapFS{}
	for path, mode := range modes {
		files[path[1:]] = &fstest.MapFile{Mode: mode}
	}
	return func(path string) (os.FileInfo, error) { return files.Stat(path[1:]) }
}

func TestFingerprint(t *testing.T) {
	n := newNode(t)
	r14 := settings.SolverConfig{Path: "/opt/ls-dyna_smp_d_R14_1_0_x64"}
	r12 := settings.SolverConfig{Path: "/opt/lsdyna"}
	mpp := settings.SolverConfig{Path: "/opt/mpp_R15.0", Parallel: "mpp", MPI: "openmpi", MPIRun: "/usr/bin/mpirun"}
	for name, c := range map[string]struct {
		solvers map[string]settings.SolverConfig
		command bool
		license *settings.LicenseConfig
		roots   []string
		files   map[string]fs.FileMode
		health  drivers.HealthState
		words   string
		attrs   map[string]string // of solvers
		there   string            // the work roots
	}{
		"all solvers are there": {
			solvers: map[string]settings.SolverConfig{"r14": r14, "r12": r12},
			files:   map[string]fs.FileMode{r14.Path: 0o755, r12.Path: 0o500},
			health:  drivers.HealthStateHealthy, words: "Healthy",
			attrs: map[string]string{"r14": "R14.1.0", "r12": "unknown"},
		},
		"one is missing": {
			solvers: map[string]settings.SolverConfig{"r14": r14, "r12": r12},
			files:   map[string]fs.FileMode{r14.Path: 0o755},
			health:  drivers.HealthStateHealthy, words: `Healthy, but solver "r12": open opt/lsdyna: file does not exist`,
			attrs: map[string]string{"r14": "R14.1.0"},
		},
		"one is no executable": {
			solvers: map[string]settings.SolverConfig{"r14": r14, "r12": r12},
			files:   map[string]fs.FileMode{r14.Path: 0o755, r12.Path: 0o644},
			health:  drivers.HealthStateHealthy, words: `Healthy, but solver "r12": /opt/lsdyna is not an executable file`,
			attrs: map[string]string{"r14": "R14.1.0"},
		},
		"one is a folder": {
			solvers: map[string]settings.SolverConfig{"r12": r12},
			files:   map[string]fs.FileMode{r12.Path: 0o755 | fs.ModeDir},
			health:  drivers.HealthStateUnhealthy, words: `solver "r12": /opt/lsdyna is not an executable file`,
		},
		"the launcher is missing": {
			solvers: map[string]settings.SolverConfig{"mpp": mpp},
			files:   map[string]fs.FileMode{mpp.Path: 0o755},
			health:  drivers.HealthStateUnhealthy, words: `solver "mpp": open usr/bin/mpirun: file does not exist`,
		},
		"with launcher": {
			solvers: map[string]settings.SolverConfig{"mpp": mpp},
			files:   map[string]fs.FileMode{mpp.Path: 0o755, mpp.MPIRun: 0o755},
			health:  drivers.HealthStateHealthy, words: "Healthy", attrs: map[string]string{"mpp": "R15.0"},
		},
		"no solver": {
			health: drivers.HealthStateUnhealthy,
			words:  `no solver is configured: add a solver block to plugin "nomad-driver-lsdyna"`,
		},
		"a work root is missing": {
			solvers: map[string]settings.SolverConfig{"r14": r14}, roots: []string{"/scratch", "/data"},
			files:  map[string]fs.FileMode{r14.Path: 0o755, "/data": 0o755 | fs.ModeDir},
			health: drivers.HealthStateHealthy,
			words:  "Healthy, but work_roots: open scratch: file does not exist: mount or make it, or take it out of work_roots",
			attrs:  map[string]string{"r14": "R14.1.0"}, there: "/data",
		},
		// An idle node without its file system would draw one job after another to it.
		"the only work root is missing": {
			solvers: map[string]settings.SolverConfig{"r14": r14}, roots: []string{"/scratch"},
			files:  map[string]fs.FileMode{r14.Path: 0o755},
			health: drivers.HealthStateUnhealthy,
			words:  "work_roots: open scratch: file does not exist: mount or make it, or take it out of work_roots",
			attrs:  map[string]string{"r14": "R14.1.0"},
		},
		"two work roots": {
			solvers: map[string]settings.SolverConfig{"r14": r14}, roots: []string{"/scratch", "/data"},
			files:  map[string]fs.FileMode{r14.Path: 0o755, "/data": 0o755 | fs.ModeDir, "/scratch": 0o700 | fs.ModeDir},
			health: drivers.HealthStateHealthy, words: "Healthy",
			attrs: map[string]string{"r14": "R14.1.0"}, there: "/scratch,/data",
		},
		"lstc_qrun is missing": {
			solvers: map[string]settings.SolverConfig{"r14": r14}, license: &settings.LicenseConfig{Type: "network", Server: "s3cret", QRun: "/opt/lstc_qrun"},
			files:  map[string]fs.FileMode{r14.Path: 0o755},
			health: drivers.HealthStateHealthy,
			words:  "Healthy, but license: qrun: open opt/lstc_qrun: file does not exist: runs start without a look at free licences; name lstc_qrun, or take qrun out",
			attrs:  map[string]string{"r14": "R14.1.0"},
		},
		"the licence file is missing": {
			solvers: map[string]settings.SolverConfig{"r14": r14}, license: &settings.LicenseConfig{Type: "local", Server: "/opt/s3cret"},
			files:  map[string]fs.FileMode{r14.Path: 0o755},
			health: drivers.HealthStateHealthy,
			words:  "Healthy, but license: the licence file that server names is not there: solvers find no licence; put it there, or name another",
			attrs:  map[string]string{"r14": "R14.1.0"},
		},
		"another precision by the solver's name": {
			solvers: map[string]settings.SolverConfig{"r14": {Path: r14.Path, Precision: "single"}},
			files:   map[string]fs.FileMode{r14.Path: 0o755},
			health:  drivers.HealthStateHealthy,
			words: `Healthy, but solver "r14": by its name ls-dyna_smp_d_R14_1_0_x64 is of double precision, but precision is "single", ` +
				`and memory is counted in words of that: write precision = "double", or name another path`,
			attrs: map[string]string{"r14": "R14.1.0"},
		},
		"no solver, but jobs bring their own": {command: true, health: drivers.HealthStateHealthy, words: "Healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			config := *n.config
			config.Solvers, config.AllowCommand, config.License, config.WorkRoots = c.solvers, c.command, c.license, c.roots
			n.change(&config)
			n.Driver.solvers = solvercheck.New(disk(c.files))
			f := n.fingerprint()
			if lacks := n.cores.MissingCgroups(true); len(lacks) > 0 {
				t.Skip("this machine has not all cgroups:", lacks)
			}
			must.Eq(t, c.health, f.Health)
			must.Eq(t, c.words, f.HealthDescription)
			must.Eq(t, f, n.fingerprint())
			keys := []string{
				"driver.lsdyna", "driver.lsdyna.hyper_threading_enabled", "driver.lsdyna.logical_cores",
				"driver.lsdyna.physical_cores", "driver.lsdyna.usable_cores", "driver.lsdyna.version",
			}
			for solver, version := range c.attrs {
				keys = append(keys, "driver.lsdyna.solver."+solver)
				must.Eq(t, version, *f.Attributes["driver.lsdyna.solver."+solver].String)
			}
			if c.there != "" {
				keys = append(keys, "driver.lsdyna.work_roots")
				must.Eq(t, c.there, *f.Attributes["driver.lsdyna.work_roots"].String)
			}
			slices.Sort(keys)
			must.Eq(t, keys, slices.Sorted(maps.Keys(f.Attributes)))
			must.Eq(t, n.cores.Managed().String(), *f.Attributes["driver.lsdyna.usable_cores"].String)
			must.Eq(t, int64(n.cores.Topology().LogicalCores()), *f.Attributes["driver.lsdyna.logical_cores"].Int)
		})
	}
}

// A root agent without cgroups works, but an operator should know.
func TestFingerprint_SaysWhatCgroupsLack(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	cores, err := placement.New(placement.Settings{CgroupRoot: t.TempDir()}, hclog.NewNullLogger())
	must.NoError(t, err)
	before := n.cores
	n.cores = cores
	f := n.fingerprint()
	n.cores = before
	must.Eq(t, drivers.HealthStateHealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "tasks run without cgroups")
}

func TestFingerprint_Disabled(t *testing.T) {
	d := New(t.Context(), hclog.NewNullLogger())
	must.NoError(t, d.SetConfig(encodeConfig(t, &settings.Config{})))
	f := d.fingerprint()
	must.Eq(t, drivers.HealthStateUndetected, f.Health)
	must.Eq(t, "disabled", f.HealthDescription)
	must.MapEmpty(t, f.Attributes)
}

func TestFingerprint_UnusableStateDir(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Chmod(dir, 0o755))
	d := New(t.Context(), hclog.NewNullLogger())
	must.NoError(t, d.SetConfig(encodeConfig(t, &settings.Config{Enabled: true, StateDir: dir})))
	f := d.fingerprint()
	must.Eq(t, drivers.HealthStateUnhealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "chmod 0700")
}

func TestFingerprint_StreamsOnlyChanges(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	tick, ch, over := make(chan time.Time), make(chan *drivers.Fingerprint, 10), make(chan struct{})
	go func() {
		defer close(over)
		health.Stream(ctx, n.ctx, tick, ch, n.fingerprint)
	}()
	tick <- time.Now() // taken after the first look
	tick <- time.Now() // taken after the second, at the same things
	must.Eq(t, 1, len(ch))

	config := *n.config
	config.Solvers = map[string]settings.SolverConfig{"gone": {Path: "/nonexistent"}}
	n.change(&config)
	tick <- time.Now() // taken after a look at the old things or the new
	tick <- time.Now() // taken after a look at the new
	must.Eq(t, 2, len(ch))
	must.Eq(t, drivers.HealthStateHealthy, (<-ch).Health)
	must.Eq(t, drivers.HealthStateUnhealthy, (<-ch).Health)
	cancel()
	<-over
}

func TestFingerprint_EndsWithTheDriver(t *testing.T) {
	n := newNode(t)
	ch, err := n.Fingerprint(context.Background())
	must.NoError(t, err)
	<-ch
	n.end()
	_, open := <-ch
	must.False(t, open)
}
