// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package settings reads the agent's plugin block and a task's config block, each
// once. What comes out is typed and checked: nothing is parsed again later.
//
// Config and TaskConfig are the blocks as Nomad decodes them, Settings and
// TaskSettings what they mean.
package settings

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// Settings are the agent's settings for the driver. They do not change: the next
// plugin block makes new ones.
type Settings struct {
	Enabled      bool
	StateDir     string     // absolute
	StatusDir    string     // absolute and clean; "": nothing is told to jobs' owners
	Usable       cpuset.Set // CPUs that the operator names; empty: all that Nomad may use
	Allocator    allocator.Options
	Memory       placement.MemoryMode
	Solvers      []lsdyna.Solver // with their defaults, sorted by name
	License      *license.Config // nil: solvers find their licence by themselves
	Secrets      license.Secrets // what solvers get to find their licences: no event or log may hold it
	WorkRoots    []string        // clean absolute paths
	AllowCommand bool
	AllowSetuid  bool
	MaxProcesses int64 // of each task, threads included; 0 for no limit
	Users        UserPolicy
}

// Parse reads a plugin block. The error reports everything that can never work,
// all of it at once. What may come and go, such as a solver's file, is the
// fingerprint's matter: an error here stops the whole agent.
func Parse(c Config) (*Settings, error) {
	s := &Settings{
		Enabled:      c.Enabled,
		StateDir:     cmp.Or(c.StateDir, DefaultStateDir),
		AllowCommand: c.AllowCommand,
		AllowSetuid:  c.AllowSetuid,
		MaxProcesses: c.MaxProcesses,
		Users:        UserPolicy{AllowRoot: c.AllowRoot, RequireUser: c.RequireUser},
	}
	var p problems
	if !filepath.IsAbs(s.StateDir) {
		p.fault(Key{"state_dir"}, "state_dir must be an absolute path, not %q", s.StateDir)
	}
	s.parseStatusDir(c.StatusDir, &p)
	s.parseCores(c.Cores, &p)
	s.parseSolvers(c.Solvers, &p)
	s.parseLicense(c.License, &p)
	s.parseWorkRoots(c.WorkRoots, &p)
	s.Users.parse(c, &p)
	if s.MaxProcesses < 0 {
		p.fault(Key{"max_processes"}, "max_processes must be 0 (no limit) or more, not %d", s.MaxProcesses)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// parseStatusDir keeps the two folders apart: one is root's alone.
func (s *Settings) parseStatusDir(dir string, p *problems) {
	if dir == "" {
		return
	}
	s.StatusDir = filepath.Clean(dir)
	below := func(a, b string) bool { return a == b || strings.HasPrefix(a, b+"/") }
	switch stateDir := filepath.Clean(s.StateDir); {
	case !filepath.IsAbs(dir) || s.StatusDir == "/":
		p.fault(Key{"status_dir"}, "status_dir must be an absolute path below /, or \"\" for none, not %q", dir)
	case below(s.StatusDir, stateDir) || below(stateDir, s.StatusDir):
		p.fault(Key{"status_dir"}, "status_dir %q and state_dir %q must not contain each other: one is for everybody, one for root alone", dir, s.StateDir)
	}
}

func (s *Settings) parseCores(c CoresConfig, p *problems) {
	var err error
	if s.Usable, err = cpuset.Parse(c.Usable); err != nil {
		p.fault(Key{"cores", "usable"}, "cores: usable must be a list of CPUs such as \"0-15,32-47\": %w", err)
	}
	if s.Allocator.SMT, err = allocator.ParseSMT(c.SMT); err != nil {
		p.fault(Key{"cores", "smt"}, "cores: %w", err)
	}
	if s.Allocator.Layout, err = allocator.ParseLayout(c.Layout); err != nil {
		p.fault(Key{"cores", "layout"}, "cores: %w", err)
	}
	if s.Memory, err = placement.ParseMemoryMode(c.Memory); err != nil {
		p.fault(Key{"cores", "memory"}, "cores: %w", err)
	}
}

func (s *Settings) parseSolvers(solvers map[string]SolverConfig, p *problems) {
	for name, c := range solvers {
		s.Solvers = append(s.Solvers, lsdyna.Solver{
			Name:      name,
			Path:      c.Path,
			Parallel:  lsdyna.Parallel(c.Parallel),
			Precision: lsdyna.Precision(c.Precision),
			MPI:       lsdyna.MPI(c.MPI),
			MPIRun:    c.MPIRun,
			Env:       c.Env,
		}.WithDefaults())
	}
	slices.SortFunc(s.Solvers, func(a, b lsdyna.Solver) int { return cmp.Compare(a.Name, b.Name) })
	for _, solver := range s.Solvers {
		key := Key{"solver", solver.Name}
		p.checkAt(key, checkSolverName(solver.Name))
		p.checkAt(key, solver.Validate())
	}
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

// parseLicense also collects the secrets; the solvers' own environments have some.
func (s *Settings) parseLicense(c *LicenseConfig, p *problems) {
	var envs []map[string]string
	if c != nil {
		s.License = &license.Config{Type: strings.ToLower(c.Type), Server: c.Server, QRun: c.QRun, Interconnect: c.Interconnect}
		p.checkAt(Key{"license"}, s.License.Validate())
		envs = append(envs, s.License.Env())
	}
	for _, solver := range s.Solvers {
		envs = append(envs, solver.Env)
	}
	s.Secrets = license.NewSecrets(envs...)
}

func (s *Settings) parseWorkRoots(roots []string, p *problems) {
	for _, root := range roots {
		clean := filepath.Clean(root)
		if !filepath.IsAbs(root) || clean == "/" {
			p.fault(Key{"work_roots"}, "work_roots: %q must be an absolute path below /", root)
		}
		s.WorkRoots = append(s.WorkRoots, clean)
	}
}

// Solver returns a configured solver.
func (s *Settings) Solver(name string) (solver lsdyna.Solver, ok bool) {
	i := slices.IndexFunc(s.Solvers, func(solver lsdyna.Solver) bool { return solver.Name == name })
	if i < 0 {
		return lsdyna.Solver{}, false
	}
	return s.Solvers[i], true
}

func (s *Settings) solverNames() []string {
	names := make([]string, len(s.Solvers))
	for i, solver := range s.Solvers {
		names[i] = solver.Name
	}
	return names
}

// WorkRoot returns the work root that holds an absolute path, "" for none.
func (s *Settings) WorkRoot(path string) string {
	clean := filepath.Clean(path)
	for _, root := range s.WorkRoots {
		if clean == root || strings.HasPrefix(clean, root+"/") {
			return root
		}
	}
	return ""
}

// TaskUser finds who a task runs as: the user and the group that the job names, or
// nobody and his own. accounts.Unsure tells errors that a later try may not meet.
func (s *Settings) TaskUser(ctx context.Context, a *accounts.Accounts, name, group string) (creds.User, error) {
	return s.Users.find(ctx, thisNode(a), name, group)
}
