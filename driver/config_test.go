// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func TestConfig_AsOperatorsWriteIt(t *testing.T) {
	none := Config{
		Enabled: true, StateDir: "/var/lib/nomad-driver-lsdyna", MaxProcesses: 32768,
	}
	for name, c := range map[string]struct {
		hcl  string
		want Config
	}{
		"an empty block": {"", none},
		"everything": {`
			enabled   = false
			state_dir = "/srv/lsdyna"
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
				AllowSetuid: true, DeniedUIDs: "0-999", DeniedGIDs: "0,27",
			}},
		"a cores block with one setting": {`
			cores {
			  smt = "share"
			}`,
			Config{Enabled: true, StateDir: DefaultStateDir, Cores: CoresConfig{SMT: "share", Layout: "pack", Memory: "preferred"}, MaxProcesses: 32768}},
	} {
		t.Run(name, func(t *testing.T) {
			var got Config
			hclutils.NewConfigParser(configSpec).ParseHCL(t, "config {\n"+c.hcl+"\n}", &got)
			if len(got.Solvers) == 0 {
				got.Solvers = nil
			}
			must.Eq(t, c.want, got)
			must.NoError(t, got.Validate())
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

func TestConfig_ValidateSaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string // "" is valid
	}{
		"nothing wrong":            {func(*Config) {}, ""},
		"relative state_dir":       {func(c *Config) { c.StateDir = "state" }, `state_dir must be an absolute path, not "state"`},
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
			c.spoil(&config)
			err := config.Validate()
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
			must.StrNotContains(t, err.Error(), "license: license")
		})
	}
}

func TestConfig_ValidateTellsEverythingAtOnce(t *testing.T) {
	err := (&Config{StateDir: "x", Cores: CoresConfig{SMT: "y", Usable: "z"}, WorkRoots: []string{"w"}}).Validate()
	for _, word := range []string{"state_dir", "usable", "smt", "work_roots"} {
		must.ErrorContains(t, err, word)
	}
}

func TestTaskConfig_Defaults(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(taskConfigSpec).ParseHCL(t, `config {
		solver = "r14"
		input  = "main.k"
	}`, &got)
	must.Eq(t, TaskConfig{
		Solver: "r14", Input: "main.k", WorkDir: "local", Memory: "auto", Restart: "auto", Stop: "sw1",
		Shortage: "unpinned", StartTimeout: "10m",
	}, got)
	config := sound()
	must.NoError(t, got.Validate(&config))
	must.Eq(t, 10*time.Minute, got.startTimeout())
}

func TestTaskConfig_Everything(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(taskConfigSpec).ParseHCL(t, `config {
		command       = "/opt/r14"
		input         = "main.k"
		work_dir      = "/scratch/x"
		ncpu          = -8
		memory        = "20m"
		memory2       = "10m"
		jobid         = "crash"
		restart       = "never"
		args          = ["d=nodump", "case"]
		stop          = ""
		shortage      = "retry"
		start_timeout = "0s"
	}`, &got)
	must.Eq(t, TaskConfig{
		Command: "/opt/r14", Input: "main.k", WorkDir: "/scratch/x", NCPU: -8, Memory: "20m", Memory2: "10m", JobID: "crash",
		Restart: "never", Args: []string{"d=nodump", "case"}, Shortage: "retry", StartTimeout: "0s",
	}, got)
	config := sound()
	config.AllowCommand = true
	must.NoError(t, got.Validate(&config))
}

func TestTaskConfig_ValidateSaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*TaskConfig)
		want  string
	}{
		"nothing wrong":             {func(*TaskConfig) {}, ""},
		"no solver":                 {func(c *TaskConfig) { c.Solver = "" }, `name a solver: solver = "r14"`},
		"solver and command":        {func(c *TaskConfig) { c.Command = "/bin/x" }, "solver and command exclude each other; remove one"},
		"unknown solver":            {func(c *TaskConfig) { c.Solver = "r99" }, `solver "r99" is not configured on this node; it has "r14"`},
		"command is not allowed":    {func(c *TaskConfig) { c.Solver, c.Command = "", "/bin/x" }, "command is not allowed on this node"},
		"no input":                  {func(c *TaskConfig) { c.Input = "" }, "input must name the keyword deck"},
		"work_dir is elsewhere":     {func(c *TaskConfig) { c.WorkDir = "/etc" }, `work_dir "/etc" is not below one of this node's work_roots ("/scratch")`},
		"work_dir only looks right": {func(c *TaskConfig) { c.WorkDir = "/scratchy/x" }, `is not below one of`},
		"work_dir leads out":        {func(c *TaskConfig) { c.WorkDir = "/scratch/../etc" }, `is not below one of`},
		"stop is no switch":         {func(c *TaskConfig) { c.Stop = "sw9" }, `stop: "sw9" is not a sense switch`},
		"stop does not end":         {func(c *TaskConfig) { c.Stop = "sw2" }, `stop = "sw2" does not end a run`},
		"unknown shortage":          {func(c *TaskConfig) { c.Shortage = "wait" }, `shortage must be "unpinned" or "retry", not "wait"`},
		"start_timeout is no time":  {func(c *TaskConfig) { c.StartTimeout = "soon" }, `start_timeout must be a duration such as "10m"`},
		"start_timeout below zero":  {func(c *TaskConfig) { c.StartTimeout = "-1s" }, "start_timeout must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			config := sound()
			task := TaskConfig{Solver: "r14", Input: "main.k", WorkDir: "local", Stop: "sw1", Shortage: "unpinned", StartTimeout: "10m"}
			c.spoil(&task)
			err := task.Validate(&config)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
		})
	}
	t.Run("relative command", func(t *testing.T) {
		task := TaskConfig{Command: "x", Input: "main.k", Shortage: "retry", StartTimeout: "0"}
		must.ErrorContains(t, task.Validate(&Config{AllowCommand: true}), `command must be an absolute path, not "x"`)
	})
}

func TestConfig_SolverHasDefaults(t *testing.T) {
	config := sound()
	must.Eq(t, lsdyna.Solver{Name: "r14", Path: "/opt/r14", Parallel: lsdyna.SMP, Precision: lsdyna.Double}, config.solver("r14"))
}

func TestConfig_WorkRootOfAPath(t *testing.T) {
	config := &Config{WorkRoots: []string{"/scratch/", "/data/runs"}}
	for path, want := range map[string]string{
		"/scratch/a/b": "/scratch", "/scratch": "/scratch", "/data/runs/x": "/data/runs", "/data/run": "",
		"/scratch/../etc": "", "/data/runs/../../etc": "", "/": "",
	} {
		must.Eq(t, want, config.workRoot(path), must.Sprint(path))
	}
}

// The agent launches the plugin twice just to validate its block; nothing may
// come of that.
func TestSetConfig_WithoutAnAgentHasNoSideEffects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for name, agent := range map[string]*base.AgentConfig{"no agent": nil, "no driver": {}} {
		t.Run(name, func(t *testing.T) {
			d := New(t.Context(), hclog.NewNullLogger())
			cfg := encodeConfig(t, &Config{Enabled: true, StateDir: dir})
			cfg.AgentConfig = agent
			must.NoError(t, d.SetConfig(cfg))
			_, err := os.Stat(dir)
			must.ErrorIs(t, err, os.ErrNotExist)
			must.ErrorContains(t, d.ready(), "no agent configuration")
			_, err = os.Stat(dir)
			must.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func TestSetConfig_DisabledTakesNoStateDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := New(t.Context(), hclog.NewNullLogger())
	must.NoError(t, d.SetConfig(encodeConfig(t, &Config{StateDir: dir})))
	_, err := os.Stat(dir)
	must.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = d.StartTask(&drivers.TaskConfig{ID: "a/b/c"})
	must.ErrorContains(t, err, "disabled on this node")
}

func TestSetConfig_RefusesNonsenseAndKeepsTheOldConfiguration(t *testing.T) {
	d := New(t.Context(), hclog.NewNullLogger())
	must.ErrorContains(t, d.SetConfig(encodeConfig(t, &Config{StateDir: "x"})), PluginName)
	must.Eq(t, "", d.config.StateDir)
	must.ErrorContains(t, d.SetConfig(&base.Config{PluginConfig: []byte{0xc1}}), "decode plugin configuration")
}

// A missing solver or a state_dir in use may pass; an error would stop the
// whole agent.
func TestSetConfig_LeavesWhatMayPassToTheFingerprint(t *testing.T) {
	n := newNode(t)
	d := New(t.Context(), hclog.NewNullLogger())
	config := *n.config
	config.Solvers = map[string]SolverConfig{"gone": {Path: "/nonexistent"}, "standin": {Path: standin}}
	must.NoError(t, d.SetConfig(encodeConfig(t, &config)))
	f := d.fingerprint(os.Stat)
	must.Eq(t, drivers.HealthStateUnhealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "in use by another plugin process")

	n.stop()
	f = d.fingerprint(os.Stat)
	must.Eq(t, drivers.HealthStateHealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "/nonexistent")
	must.NoError(t, d.store.Close())
}

func TestPlugin_SaysWhatItIs(t *testing.T) {
	d := New(context.Background(), hclog.NewNullLogger())
	info, err := d.PluginInfo()
	must.NoError(t, err)
	must.Eq(t, "lsdyna", info.Name)
	must.Eq(t, base.PluginTypeDriver, info.Type)
	must.Eq(t, Version, info.PluginVersion)
	caps, err := d.Capabilities()
	must.NoError(t, err)
	must.True(t, caps.SendSignals)
	must.True(t, caps.Exec)
	must.Eq(t, drivers.MountConfigSupportNone, caps.MountConfigs)
	for _, schema := range []func() error{
		func() error { _, err := d.ConfigSchema(); return err },
		func() error { _, err := d.TaskConfigSchema(); return err },
	} {
		must.NoError(t, schema())
	}
	must.False(t, strings.ContainsAny(Version, " \n"))
}
