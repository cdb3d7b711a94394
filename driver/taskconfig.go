// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// taskConfigSpec describes the config block of a task.
var taskConfigSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"solver":        withDefault("solver", "string", `""`),
	"command":       withDefault("command", "string", `""`),
	"input":         hclspec.NewAttr("input", "string", true),
	"work_dir":      withDefault("work_dir", "string", `"local"`),
	"ncpu":          hclspec.NewAttr("ncpu", "number", false),
	"memory":        withDefault("memory", "string", `"auto"`),
	"memory2":       withDefault("memory2", "string", `""`),
	"jobid":         withDefault("jobid", "string", `""`),
	"restart":       withDefault("restart", "string", `"auto"`),
	"args":          hclspec.NewAttr("args", "list(string)", false),
	"stop":          withDefault("stop", "string", `"sw1"`),
	"shortage":      withDefault("shortage", "string", `"unpinned"`),
	"start_timeout": withDefault("start_timeout", "string", `"10m"`),
})

// What a task does when there are fewer free cores than it asks for.
const (
	shortageUnpinned = "unpinned" // warn and run without affinity
	shortageRetry    = "retry"    // fail the start so that the restart policy tries again
)

// TaskConfig is the config block of a task.
type TaskConfig struct {
	Solver       string   `codec:"solver"`
	Command      string   `codec:"command"`
	Input        string   `codec:"input"`
	WorkDir      string   `codec:"work_dir"`
	NCPU         int      `codec:"ncpu"`
	Memory       string   `codec:"memory"`
	Memory2      string   `codec:"memory2"`
	JobID        string   `codec:"jobid"`
	Restart      string   `codec:"restart"`
	Args         []string `codec:"args"`
	Stop         string   `codec:"stop"`
	Shortage     string   `codec:"shortage"`
	StartTimeout string   `codec:"start_timeout"`
}

// Validate reports everything that is wrong with a task's config block on an
// agent of the given configuration, in sentences that say what to write.
func (t *TaskConfig) Validate(c *Config) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch {
	case t.Solver == "" && t.Command == "":
		add("name a solver: solver = %s", quotedList(c.solverNames()))
	case t.Solver != "" && t.Command != "":
		add("solver and command exclude each other; remove one")
	case t.Solver != "":
		if _, ok := c.Solvers[t.Solver]; !ok {
			add("solver %q is not configured on this node; it has %s", t.Solver, quotedList(c.solverNames()))
		}
	case !c.AllowCommand:
		add("command is not allowed on this node; use solver = %s, or have the operator set allow_command = true", quotedList(c.solverNames()))
	case !filepath.IsAbs(t.Command):
		add("command must be an absolute path, not %q", t.Command)
	}
	if t.Input == "" {
		add("input must name the keyword deck, e.g. input = \"main.k\"")
	}
	if filepath.IsAbs(t.WorkDir) && c.workRoot(t.WorkDir) == "" {
		add("work_dir %q is not below one of this node's work_roots (%s); use a folder below the task directory", t.WorkDir, quotedList(c.WorkRoots))
	}
	if t.Stop != "" {
		if sw, err := lsdyna.ParseSwitch(t.Stop); err != nil {
			add("stop: %w", err)
		} else if !sw.Terminates {
			add("stop = %q does not end a run; use sw1 (dump and terminate), swd or stop, or \"\" for none", t.Stop)
		}
	}
	if t.Shortage != shortageUnpinned && t.Shortage != shortageRetry {
		add("shortage must be %q or %q, not %q", shortageUnpinned, shortageRetry, t.Shortage)
	}
	if filepath.Base(t.Restart) != t.Restart && t.Restart != "" {
		add("restart must be \"auto\", \"never\" or the name of a dump in work_dir such as \"d3dump01\", not %q", t.Restart)
	}
	if d, err := time.ParseDuration(t.StartTimeout); err != nil || d < 0 {
		add("start_timeout must be a duration such as \"10m\", or \"0s\" for none, not %q", t.StartTimeout)
	}
	return errors.Join(errs...)
}

// startTimeout returns start_timeout; 0 for none. Validate has seen it.
func (t *TaskConfig) startTimeout() time.Duration {
	d, _ := time.ParseDuration(t.StartTimeout)
	return d
}

// lsdynaSolver returns the solver that the task runs.
func (t *TaskConfig) lsdynaSolver(c *Config) lsdyna.Solver {
	if t.Solver != "" {
		return c.solver(t.Solver)
	}
	return lsdyna.Solver{Path: t.Command}.WithDefaults()
}

// workRoot returns the work root that holds an absolute path, "" for none.
func (c *Config) workRoot(path string) string {
	clean := filepath.Clean(path)
	for _, root := range c.WorkRoots {
		root = filepath.Clean(root)
		if clean == root || strings.HasPrefix(clean, root+"/") {
			return root
		}
	}
	return ""
}

func quotedList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}
