// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// DefaultStateDir is where records are kept when the agent's configuration
// does not say.
const DefaultStateDir = "/var/lib/nomad-driver-lsdyna"

// configSpec describes the agent's plugin block. Nomad turns the block into
// JSON before it decodes it, so attributes that are maps are block attributes.
var configSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"enabled":   withDefault("enabled", "bool", "true"),
	"state_dir": withDefault("state_dir", "string", `"`+DefaultStateDir+`"`),
	"cores": hclspec.NewBlock("cores", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"usable": withDefault("usable", "string", `""`),
		"smt":    withDefault("smt", "string", `"isolate"`),
		"layout": withDefault("layout", "string", `"pack"`),
		"memory": withDefault("memory", "string", `"preferred"`),
	})),
	"solver": hclspec.NewBlockMap("solver", []string{"name"}, hclspec.NewObject(map[string]*hclspec.Spec{
		"path":      hclspec.NewAttr("path", "string", true),
		"parallel":  withDefault("parallel", "string", `"smp"`),
		"precision": withDefault("precision", "string", `"double"`),
		"mpi":       withDefault("mpi", "string", `""`),
		"mpirun":    withDefault("mpirun", "string", `""`),
		"env":       hclspec.NewBlockAttrs("env", "string", false),
	})),
	"license": hclspec.NewBlock("license", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"type":   withDefault("type", "string", `"network"`),
		"server": withDefault("server", "string", `""`),
		"qrun":   withDefault("qrun", "string", `""`),
	})),
	"work_roots":    hclspec.NewAttr("work_roots", "list(string)", false),
	"allow_command": withDefault("allow_command", "bool", "false"),
	"allow_root":    withDefault("allow_root", "bool", "false"),
	"allow_setuid":  withDefault("allow_setuid", "bool", "false"),
	"max_processes": withDefault("max_processes", "number", "32768"),
	// Named and written as raw_exec's.
	"denied_host_uids": withDefault("denied_host_uids", "string", `""`),
	"denied_host_gids": withDefault("denied_host_gids", "string", `""`),
})

func withDefault(name, kind, literal string) *hclspec.Spec {
	return hclspec.NewDefault(hclspec.NewAttr(name, kind, false), hclspec.NewLiteral(literal))
}

// Config is the agent's plugin block.
type Config struct {
	Enabled      bool                    `codec:"enabled"`
	StateDir     string                  `codec:"state_dir"`
	Cores        CoresConfig             `codec:"cores"`
	Solvers      map[string]SolverConfig `codec:"solver"`
	License      *LicenseConfig          `codec:"license"`
	WorkRoots    []string                `codec:"work_roots"`
	AllowCommand bool                    `codec:"allow_command"`
	AllowRoot    bool                    `codec:"allow_root"`
	AllowSetuid  bool                    `codec:"allow_setuid"`
	MaxProcesses int64                   `codec:"max_processes"` // of each task, threads included; 0 for no limit
	DeniedUIDs   string                  `codec:"denied_host_uids"`
	DeniedGIDs   string                  `codec:"denied_host_gids"`
}

// CoresConfig says which CPUs the driver gives out and how.
type CoresConfig struct {
	Usable string `codec:"usable"` // cpuset list; "" for all that Nomad may use
	SMT    string `codec:"smt"`    // isolate or share
	Layout string `codec:"layout"` // pack or scatter
	Memory string `codec:"memory"` // preferred, strict or none: on the NUMA nodes of a task's cores
}

// SolverConfig says where a solver is that jobs know by its name.
type SolverConfig struct {
	Path      string            `codec:"path"`
	Parallel  string            `codec:"parallel"`
	Precision string            `codec:"precision"`
	MPI       string            `codec:"mpi"`
	MPIRun    string            `codec:"mpirun"`
	Env       map[string]string `codec:"env"`
}

// LicenseConfig says where solvers find their licence.
type LicenseConfig struct {
	Type   string `codec:"type"`
	Server string `codec:"server"`
	QRun   string `codec:"qrun"`
}

// Validate reports what can never work, all of it at once. What may come and
// go, such as a solver's file, is the fingerprint's matter: an error here stops
// the whole agent.
func (c *Config) Validate() error {
	var errs []error
	if !filepath.IsAbs(c.StateDir) {
		errs = append(errs, fmt.Errorf("state_dir must be an absolute path, not %q", c.StateDir))
	}
	if _, err := c.usable(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.options(); err != nil {
		errs = append(errs, err)
	}
	if err := checkMemory(c.Cores.Memory); err != nil {
		errs = append(errs, err)
	}
	for _, name := range c.solverNames() {
		if err := checkSolverName(name); err != nil {
			errs = append(errs, err)
		}
		if err := c.solver(name).Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if l := c.licence(); l != nil {
		if err := l.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, root := range c.WorkRoots {
		if !filepath.IsAbs(root) || filepath.Clean(root) == "/" {
			errs = append(errs, fmt.Errorf("work_roots: %q must be an absolute path below /", root))
		}
	}
	for key, list := range map[string]string{"denied_host_uids": c.DeniedUIDs, "denied_host_gids": c.DeniedGIDs} {
		if _, err := parseIDs(list); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if c.MaxProcesses < 0 {
		errs = append(errs, fmt.Errorf("max_processes must be 0 (no limit) or more, not %d", c.MaxProcesses))
	}
	return errors.Join(errs...)
}

// checkSolverName keeps names usable as node attributes, driver.lsdyna.solver.<name>.
func checkSolverName(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		return fmt.Errorf("solver %q: a name has letters, digits, - and _ only", name)
	}
	return nil
}

func (c *Config) usable() (cpuset.Set, error) {
	if c.Cores.Usable == "" {
		return cpuset.Set{}, nil
	}
	set, err := cpuset.Parse(c.Cores.Usable)
	if err != nil {
		return set, fmt.Errorf("cores: usable must be a list of CPUs such as \"0-15,32-47\": %w", err)
	}
	return set, nil
}

func (c *Config) options() (allocator.Options, error) {
	smt, err := allocator.ParseSMT(orDefault(c.Cores.SMT, "isolate"))
	if err != nil {
		return allocator.Options{}, fmt.Errorf("cores: %w", err)
	}
	layout, err := allocator.ParseLayout(orDefault(c.Cores.Layout, "pack"))
	if err != nil {
		return allocator.Options{}, fmt.Errorf("cores: %w", err)
	}
	return allocator.Options{SMT: smt, Layout: layout}, nil
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// solverNames returns the solvers' names in order.
func (c *Config) solverNames() []string {
	names := make([]string, 0, len(c.Solvers))
	for name := range c.Solvers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// solver returns a configured solver in package lsdyna's terms.
func (c *Config) solver(name string) lsdyna.Solver {
	s := c.Solvers[name]
	return lsdyna.Solver{
		Name:      name,
		Path:      s.Path,
		Parallel:  lsdyna.Parallel(s.Parallel),
		Precision: lsdyna.Precision(s.Precision),
		MPI:       lsdyna.MPI(s.MPI),
		MPIRun:    s.MPIRun,
		Env:       s.Env,
	}.WithDefaults()
}

// licence returns the licence block, nil where there is none.
func (c *Config) licence() *license.Config {
	if c.License == nil {
		return nil
	}
	return &license.Config{Type: c.License.Type, Server: c.License.Server, QRun: c.License.QRun}
}

// secrets are what solvers get to find their licences: no event or log may hold it.
func (c *Config) secrets() license.Secrets {
	var envs []map[string]string
	if l := c.licence(); l != nil {
		envs = append(envs, l.Env())
	}
	for _, s := range c.Solvers {
		envs = append(envs, s.Env)
	}
	return license.NewSecrets(envs...)
}
