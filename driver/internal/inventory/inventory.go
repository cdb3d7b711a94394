// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package inventory says what of that which a node's configuration names is there, and
// what to do about the rest: solvers, lstc_qrun, the licence file, work roots. The
// fingerprint tells it while an agent runs, and check-config before.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
)

// Inventory is what a node has of what its configuration names.
type Inventory struct {
	node    *settings.Settings
	solvers []error // of the settings' solvers, each nil where it can be started
	roots   []error // of the settings' work roots
	qrun    error
	licence error // of the licence file
}

// Lack is something that is missing, or that contradicts the configuration.
type Lack struct {
	Key  settings.Key
	Text string // what, and what to do
}

// Take looks at everything at once, within solvercheck.Patience.
func Take(ctx context.Context, checker *solvercheck.Checker, node *settings.Settings) Inventory {
	i := Inventory{node: node, solvers: make([]error, len(node.Solvers)), roots: make([]error, len(node.WorkRoots))}
	var things []solvercheck.Thing
	var results []*error // by things; the first of a result counts
	look := func(thing solvercheck.Thing, result *error) {
		things, results = append(things, thing), append(results, result)
	}
	for n, solver := range node.Solvers {
		for _, part := range solvercheck.Of(solver) {
			look(part, &i.solvers[n])
		}
	}
	for n, root := range node.WorkRoots {
		look(solvercheck.Thing{Path: root, Kind: solvercheck.Folder}, &i.roots[n])
	}
	if l := node.License; l != nil && l.QRun != "" {
		look(solvercheck.Thing{Path: l.QRun, Kind: solvercheck.Executable}, &i.qrun)
	}
	if l := node.License; l != nil && l.Type == "local" && filepath.IsAbs(l.Server) {
		look(solvercheck.Thing{Path: l.Server, Kind: solvercheck.File}, &i.licence)
	}
	for n, err := range checker.CheckAll(ctx, things) {
		*results[n] = cmp.Or(*results[n], err)
	}
	return i
}

// HasSolver reports whether a solver, by its place in the settings, can be started.
func (i Inventory) HasSolver(n int) bool { return i.solvers[n] == nil }

// WorkRoots are the work roots that are there.
func (i Inventory) WorkRoots() (there []string) {
	for n, err := range i.roots {
		if err == nil {
			there = append(there, i.node.WorkRoots[n])
		}
	}
	return there
}

// MissingSolvers are the solvers that cannot be started.
func (i Inventory) MissingSolvers() (lacks []Lack) {
	for n, err := range i.solvers {
		if err != nil {
			name := i.node.Solvers[n].Name
			lacks = append(lacks, Lack{settings.Key{"solver", name}, fmt.Sprintf("solver %q: %v", name, err)})
		}
	}
	return lacks
}

// MissingRoots are the work roots that are not there.
func (i Inventory) MissingRoots() (lacks []Lack) {
	for _, err := range i.roots {
		if err != nil {
			lacks = append(lacks, Lack{settings.Key{"work_roots"}, "work_roots: " + advise(err, "mount or make it, or take it out of work_roots")})
		}
	}
	return lacks
}

// Others is what else is missing, or contradicts the configuration. None of it keeps all
// runs from starting.
func (i Inventory) Others() (lacks []Lack) {
	if i.qrun != nil {
		lacks = append(lacks, Lack{
			settings.Key{"license", "qrun"},
			"license: qrun: " + advise(i.qrun, "runs start without a look at free licences; name lstc_qrun, or take qrun out"),
		})
	}
	if i.licence != nil {
		lacks = append(lacks, Lack{settings.Key{"license", "server"}, "license: " + adviseLicence(i.licence)})
	}
	for _, solver := range i.node.Solvers {
		for _, doubt := range solver.Doubts() {
			lacks = append(lacks, Lack{settings.Key{"solver", solver.Name, doubt.Key}, fmt.Sprintf("solver %q: %s", solver.Name, doubt.Text)})
		}
	}
	return lacks
}

// adviseLicence says it without the file's name, which is hidden as that of a server is.
func adviseLicence(err error) string {
	if silent, ok := errors.AsType[*solvercheck.NoAnswerError](err); ok {
		return (&solvercheck.NoAnswerError{Path: "the licence file that server names", Since: silent.Since}).Error()
	}
	return "the licence file that server names is not there: solvers find no licence; put it there, or name another"
}

// advise says what to do about something that is missing. What does not answer may be
// there, and its error asks already.
func advise(err error, advice string) string {
	if _, ok := errors.AsType[*solvercheck.NoAnswerError](err); ok {
		return err.Error()
	}
	return fmt.Sprintf("%v: %s", err, advice)
}

// Texts are what lacks say.
func Texts(lacks []Lack) []string {
	var texts []string
	for _, lack := range lacks {
		texts = append(texts, lack.Text)
	}
	return texts
}
