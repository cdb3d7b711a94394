// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import "github.com/hashicorp/nomad/plugins/shared/hclspec"

// TaskSpec describes the config block of a task.
var TaskSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"solver":         withDefault("solver", "string", `""`),
	"command":        withDefault("command", "string", `""`),
	"group":          withDefault("group", "string", `""`),
	"input":          hclspec.NewAttr("input", "string", true),
	"work_dir":       withDefault("work_dir", "string", `"local"`),
	"ncpu":           hclspec.NewAttr("ncpu", "number", false),
	"ranks":          hclspec.NewAttr("ranks", "number", false),
	"threads":        hclspec.NewAttr("threads", "number", false),
	"nodes":          hclspec.NewAttr("nodes", "number", false),
	"first_node":     hclspec.NewAttr("first_node", "number", false),
	"ranks_per_node": hclspec.NewAttr("ranks_per_node", "number", false),
	"memory":         withDefault("memory", "string", `"auto"`),
	"memory2":        withDefault("memory2", "string", `""`),
	"jobid":          withDefault("jobid", "string", `""`),
	"restart":        withDefault("restart", "string", `"auto"`),
	"args":           hclspec.NewAttr("args", "list(string)", false),
	"stop":           withDefault("stop", "string", `"sw1"`),
	"shortage":       withDefault("shortage", "string", `"unpinned"`),
	"start_timeout":  withDefault("start_timeout", "string", `"10m"`),
	"watch": hclspec.NewBlock("watch", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"energy_ratio": withDefault("energy_ratio", "string", `""`),
		"added_mass":   withDefault("added_mass", "string", `""`),
		"hourglass":    withDefault("hourglass", "string", `""`),
		"dt_min":       withDefault("dt_min", "string", `""`),
		"silence":      withDefault("silence", "string", `""`),
		"action":       withDefault("action", "string", `"event"`),
	})),
	"report": withDefault("report", "bool", "false"),

	"checkpoint":      withDefault("checkpoint", "string", `""`),
	"checkpoint_keep": hclspec.NewAttr("checkpoint_keep", "number", false),
})

// TaskConfig is the config block of a task.
type TaskConfig struct {
	Solver       string       `codec:"solver"`
	Command      string       `codec:"command"`
	Group        string       `codec:"group"`
	Input        string       `codec:"input"`
	WorkDir      string       `codec:"work_dir"`
	NCPU         int          `codec:"ncpu"`
	Ranks        *int         `codec:"ranks"`   // nil: not said
	Threads      *int         `codec:"threads"` // nil: not said
	Nodes        *int         `codec:"nodes"`   // nil: not said
	FirstNode    int          `codec:"first_node"`
	RanksPerNode *int         `codec:"ranks_per_node"` // nil: not said
	Memory       string       `codec:"memory"`
	Memory2      string       `codec:"memory2"`
	JobID        string       `codec:"jobid"`
	Restart      string       `codec:"restart"`
	Args         []string     `codec:"args"`
	Stop         string       `codec:"stop"`
	Shortage     string       `codec:"shortage"`
	StartTimeout string       `codec:"start_timeout"`
	Report       bool         `codec:"report"`
	Watch        *WatchConfig `codec:"watch"`

	Checkpoint     string `codec:"checkpoint"`
	CheckpointKeep *int   `codec:"checkpoint_keep"` // nil: not said
}

// WatchConfig bounds what a run's health may be. "" is no bound. Numbers are strings: Nomad
// hands over those that no float64 is exactly, such as 1.1, as strings, and HCL makes
// strings of all.
type WatchConfig struct {
	EnergyRatio string `codec:"energy_ratio"`
	AddedMass   string `codec:"added_mass"` // e.g. 5%
	Hourglass   string `codec:"hourglass"`  // e.g. 10%
	DtMin       string `codec:"dt_min"`
	Silence     string `codec:"silence"`
	Action      string `codec:"action"` // event, dump or stop
}
