// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

func TestConfig_AsOperatorsWriteIt(t *testing.T) {
	none := Config{
		Enabled: true, StateDir: "/var/lib/nomad-driver-lsdyna", StatusDir: "/run/nomad-driver-lsdyna", MaxProcesses: 32768,
	}
	for name, c := range map[string]struct {
		hcl  string
		want Config
	}{
		"an empty block": {"", none},
		"everything": {
			`
			enabled   = false
			state_dir = "/srv/lsdyna"
			status_dir = ""
			cores {
			  usable = "0-15,32-47"
			  smt    = "share"
			  layout = "scatter"
			  memory = "strict"
			}
			solver "r14-smp-d" {
			  path = "/opt/lsdyna/ls-dyna_smp_d_R14"
			  env {
			    OMP_PROC_BIND = "close"
			    LSTC_INTERNAL = "1"
			  }
			}
			solver "r14-mpp-s" {
			  path      = "/opt/lsdyna/ls-dyna_mpp_s_R14"
			  parallel  = "mpp"
			  precision = "single"
			  mpi       = "openmpi"
			  mpirun    = "/usr/bin/mpirun"
			}
			license {
			  server = "31010@lic1"
			  qrun   = "/opt/lsdyna/lstc_qrun"
			}
			work_roots    = ["/scratch", "/projects"]
			allow_command = true
			allow_root    = true
			allow_setuid  = true
			require_user  = true
			max_processes = 0
			denied_host_uids = "0-999"
			denied_host_gids = "0,27"`,
			Config{
				StateDir: "/srv/lsdyna",
				Cores:    CoresConfig{Usable: "0-15,32-47", SMT: "share", Layout: "scatter", Memory: "strict"},
				Solvers: map[string]SolverConfig{
					"r14-smp-d": {
						Path: "/opt/lsdyna/ls-dyna_smp_d_R14", Parallel: "smp", Precision: "double",
						Env: map[string]string{"OMP_PROC_BIND": "close", "LSTC_INTERNAL": "1"},
					},
					"r14-mpp-s": {
						Path: "/opt/lsdyna/ls-dyna_mpp_s_R14", Parallel: "mpp", Precision: "single",
						MPI: "openmpi", MPIRun: "/usr/bin/mpirun",
					},
				},
				License:   &LicenseConfig{Type: "network", Server: "31010@lic1", QRun: "/opt/lsdyna/lstc_qrun"},
				WorkRoots: []string{"/scratch", "/projects"}, AllowCommand: true, AllowRoot: true,
				AllowSetuid: true, RequireUser: true, DeniedUIDs: "0-999", DeniedGIDs: "0,27",
			},
		},
		"a cores block with one setting": {
			`
			cores {
			  smt = "share"
			}`,
			Config{Enabled: true, StateDir: DefaultStateDir, StatusDir: public.DefaultDir, Cores: CoresConfig{SMT: "share", Layout: "pack", Memory: "preferred"}, MaxProcesses: 32768},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got Config
			hclutils.NewConfigParser(Spec).ParseHCL(t, "config {\n"+c.hcl+"\n}", &got)
			if len(got.Solvers) == 0 {
				got.Solvers = nil
			}
			must.Eq(t, c.want, got)
			_, err := Parse(got)
			must.NoError(t, err)
		})
	}
}

// sound is a configuration without fault.
func sound() Config {
	return Config{
		Enabled: true, StateDir: "/var/lib/x", WorkRoots: []string{"/scratch"},
		Solvers: map[string]SolverConfig{"r14": {Path: "/opt/r14"}},
	}
}

func TestParse_SaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // "" is valid
	}{
		"nothing wrong":            {func(*Config) {}, ""},
		"relative state_dir":       {func(c *Config) { c.StateDir = "state" }, `state_dir must be an absolute path, not "state"`},
		"relative status_dir":      {func(c *Config) { c.StatusDir = "run" }, `status_dir must be an absolute path below /, or "" for none, not "run"`},
		"status_dir in state_dir":  {func(c *Config) { c.StatusDir = "/var/lib/x/status" }, `status_dir "/var/lib/x/status" and state_dir "/var/lib/x" must not contain each other`},
		"state_dir in status_dir":  {func(c *Config) { c.StatusDir = "/var/lib/" }, "must not contain each other"},
		"usable is no list":        {func(c *Config) { c.Cores.Usable = "0-x" }, `cores: usable must be a list of CPUs such as "0-15,32-47"`},
		"unknown smt":              {func(c *Config) { c.Cores.SMT = "off" }, `cores: smt is "off": use "isolate"`},
		"unknown memory":           {func(c *Config) { c.Cores.Memory = "local" }, `cores: memory must be preferred, strict or none, not "local"`},
		"unknown layout":           {func(c *Config) { c.Cores.Layout = "dense" }, `cores: layout is "dense": use "pack"`},
		"relative solver path":     {func(c *Config) { c.Solvers["r14"] = SolverConfig{Path: "r14"} }, `solver "r14": path must be absolute, not "r14"`},
		"unknown parallel":         {func(c *Config) { c.Solvers["r14"] = SolverConfig{Path: "/r", Parallel: "mpi"} }, `parallel must be smp, mpp or hybrid, not "mpi"`},
		"unknown precision":        {func(c *Config) { c.Solvers["r14"] = SolverConfig{Path: "/r", Precision: "half"} }, `precision must be single or double, not "half"`},
		"mpp without mpi":          {func(c *Config) { c.Solvers["r14"] = SolverConfig{Path: "/r", Parallel: "mpp"} }, `parallel = "mpp" needs mpi =`},
		"mpi for smp":              {func(c *Config) { c.Solvers["r14"] = SolverConfig{Path: "/r", MPI: "openmpi"} }, `mpi and mpirun are for parallel = "mpp" or "hybrid"`},
		"name with a dot":          {func(c *Config) { c.Solvers["r14.1"] = SolverConfig{Path: "/r"} }, `solver "r14.1": a name has letters, digits, - and _ only`},
		"empty name":               {func(c *Config) { c.Solvers[""] = SolverConfig{Path: "/r"} }, `solver "": a name has letters`},
		"licence without server":   {func(c *Config) { c.License = &LicenseConfig{Type: "network"} }, `license: type = "network" needs a server`},
		"unknown licence":          {func(c *Config) { c.License = &LicenseConfig{Type: "free"} }, `license: type must be network, local or ansys, not "free"`},
		"interconnect of another":  {func(c *Config) { c.License = &LicenseConfig{Type: "LOCAL", Interconnect: "2325"} }, `license: interconnect is Ansys's; remove it with type = "local"`},
		"relative qrun":            {func(c *Config) { c.License = &LicenseConfig{Type: "network", Server: "s", QRun: "q"} }, `license: qrun must be the absolute path`},
		"relative work root":       {func(c *Config) { c.WorkRoots = []string{"scratch"} }, `work_roots: "scratch" must be an absolute path below /`},
		"the root as work root":    {func(c *Config) { c.WorkRoots = []string{"/x/.."} }, `work_roots: "/x/.." must be an absolute path below /`},
		"denied users are words":   {func(c *Config) { c.DeniedUIDs = "root" }, `denied_host_uids: "root" is no id or range of ids`},
		"denied groups backwards":  {func(c *Config) { c.DeniedGIDs = "9-0" }, `denied_host_gids: "9-0" is no id or range`},
		"processes below zero":     {func(c *Config) { c.MaxProcesses = -1 }, `max_processes must be 0 (no limit) or more, not -1`},
		"local licence is allowed": {func(c *Config) { c.License = &LicenseConfig{Type: "local"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := sound()
			c.change(&config)
			_, err := Parse(config)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
			must.StrNotContains(t, err.Error(), "license: license")
		})
	}
}

func TestParse_ReportsEverythingAtOnce(t *testing.T) {
	_, err := Parse(Config{
		StateDir: "x", Cores: CoresConfig{Usable: "a", SMT: "b", Layout: "c", Memory: "d"}, WorkRoots: []string{"e"},
		Solvers: map[string]SolverConfig{"f.": {Path: "f"}, "g": {Path: "g"}}, License: &LicenseConfig{Type: "h"},
		DeniedUIDs: "i", DeniedGIDs: "j", MaxProcesses: -1,
	})
	must.Error(t, err)
	var keys []string
	for line := range strings.Lines(err.Error()) {
		keys = append(keys, strings.Join(strings.Fields(line)[:2], " "))
	}
	must.Eq(t, []string{
		"state_dir must", "cores: usable", "cores: smt", "cores: layout", "cores: memory", `solver "f.":`, `solver "f.":`, `solver "g":`,
		"license: type", `work_roots: "e"`, `denied_host_uids: "i"`, `denied_host_gids: "j"`, "max_processes must",
	}, keys)
}

func TestParse_TypedAndWithDefaults(t *testing.T) {
	got, err := Parse(Config{})
	must.NoError(t, err)
	must.Eq(t, DefaultStateDir, got.StateDir)
	must.Eq(t, allocator.Options{SMT: allocator.SMTIsolate, Layout: allocator.LayoutPack}, got.Allocator)
	must.Eq(t, placement.MemoryPreferred, got.Memory)
	must.True(t, got.Usable.IsEmpty())
	must.Nil(t, got.License)

	got, err = Parse(Config{
		Enabled: true, StateDir: "/srv/x", AllowCommand: true, AllowRoot: true, AllowSetuid: true, RequireUser: true, MaxProcesses: 7,
		Cores: CoresConfig{Usable: "0-3,8", SMT: "share", Layout: "scatter", Memory: "none"},
		Solvers: map[string]SolverConfig{
			"b": {Path: "/opt/b", Parallel: "mpp", Precision: "single", MPI: "openmpi", MPIRun: "/usr/bin/mpirun", Env: map[string]string{"A": "1"}},
			"a": {Path: "/opt/a"},
		},
		License:   &LicenseConfig{Type: "network", Server: "31010@lic1", QRun: "/opt/lstc_qrun"},
		WorkRoots: []string{"/scratch/", "/data/x/../runs"}, DeniedUIDs: "0-99", DeniedGIDs: "7",
	})
	must.NoError(t, err)
	must.Eq(t, cpuset.Of(0, 1, 2, 3, 8), got.Usable)
	must.Eq(t, allocator.Options{SMT: allocator.SMTShare, Layout: allocator.LayoutScatter}, got.Allocator)
	must.Eq(t, placement.MemoryNone, got.Memory)
	a := lsdyna.Solver{Name: "a", Path: "/opt/a", Parallel: lsdyna.SMP, Precision: lsdyna.Double}
	must.Eq(t, []lsdyna.Solver{a, {
		Name: "b", Path: "/opt/b", Parallel: lsdyna.MPP, Precision: lsdyna.Single, MPI: lsdyna.OpenMPI, MPIRun: "/usr/bin/mpirun",
		Env: map[string]string{"A": "1"},
	}}, got.Solvers)
	solver, ok := got.Solver("a")
	must.True(t, ok)
	must.Eq(t, a, solver)
	_, ok = got.Solver("c")
	must.False(t, ok)
	must.Eq(t, &license.Config{Type: "network", Server: "31010@lic1", QRun: "/opt/lstc_qrun"}, got.License)
	must.Eq(t, []string{"/scratch", "/data/runs"}, got.WorkRoots)
	must.True(t, got.Enabled && got.AllowCommand && got.AllowSetuid && got.Users.AllowRoot && got.Users.RequireUser)
	must.Eq(t, int64(7), got.MaxProcesses)
	must.True(t, got.Users.DeniedUIDs.Contains(99))
	must.True(t, got.Users.DeniedGIDs.Contains(7))
}

// Secrets are what the license block says, and what a solver's own environment does.
func TestParse_CollectsSecrets(t *testing.T) {
	got, err := Parse(Config{
		License: &LicenseConfig{Type: "network", Server: "31010@first.example"},
		Solvers: map[string]SolverConfig{"a": {Path: "/a", Env: map[string]string{"LSTC_LICENSE_SERVER": "second.example", "OMP_STACKSIZE": "third"}}},
	})
	must.NoError(t, err)
	must.Eq(t, "asked …, … and third", got.Secrets.Redact("asked 31010@first.example, second.example and third"))
}

func TestSettings_WorkRootOfAPath(t *testing.T) {
	s, err := Parse(Config{WorkRoots: []string{"/scratch/", "/data/runs"}})
	must.NoError(t, err)
	for path, want := range map[string]string{
		"/scratch/a/b": "/scratch", "/scratch": "/scratch", "/data/runs/x": "/data/runs", "/data/run": "",
		"/scratch/../etc": "", "/data/runs/../../etc": "", "/": "",
	} {
		must.Eq(t, want, s.WorkRoot(path), must.Sprint(path))
	}
}
