// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// DefaultStateDir is where records are kept when the agent's configuration
// does not say.
const DefaultStateDir = "/var/lib/nomad-driver-lsdyna"

// Spec describes the agent's plugin block. Nomad turns the block into
// JSON before it decodes it, so attributes that are maps are block attributes.
var Spec = hclspec.NewObject(map[string]*hclspec.Spec{
	"enabled":    withDefault("enabled", "bool", "true"),
	"state_dir":  withDefault("state_dir", "string", `"`+DefaultStateDir+`"`),
	"status_dir": withDefault("status_dir", "string", `"`+public.DefaultDir+`"`),
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

		"interconnect": withDefault("interconnect", "string", `""`),
	})),
	"work_roots":    hclspec.NewAttr("work_roots", "list(string)", false),
	"allow_command": withDefault("allow_command", "bool", "false"),
	"allow_root":    withDefault("allow_root", "bool", "false"),
	"allow_setuid":  withDefault("allow_setuid", "bool", "false"),
	"require_user":  withDefault("require_user", "bool", "false"),
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
	StatusDir    string                  `codec:"status_dir"` // "": nothing is told to jobs' owners
	Cores        CoresConfig             `codec:"cores"`
	Solvers      map[string]SolverConfig `codec:"solver"`
	License      *LicenseConfig          `codec:"license"`
	WorkRoots    []string                `codec:"work_roots"`
	AllowCommand bool                    `codec:"allow_command"`
	AllowRoot    bool                    `codec:"allow_root"`
	AllowSetuid  bool                    `codec:"allow_setuid"`
	RequireUser  bool                    `codec:"require_user"`
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

	Interconnect string `codec:"interconnect"`
}
