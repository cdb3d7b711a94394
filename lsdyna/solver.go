// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Parallel is the way in which a solver executable works in parallel.
type Parallel string

// The three builds of LS-DYNA.
const (
	SMP    Parallel = "smp"    // threads in one process
	MPP    Parallel = "mpp"    // MPI ranks of one thread each
	Hybrid Parallel = "hybrid" // MPI ranks of several threads each
)

// Precision is the size of the solver's numbers, and with it the size of a word.
type Precision string

// The two precisions of LS-DYNA.
const (
	Single Precision = "single"
	Double Precision = "double"
)

// WordBytes is the size in bytes of one word, the unit of memory= and memory2=.
func (p Precision) WordBytes() int64 {
	if p == Single {
		return 4
	}
	return 8
}

// MPI is the MPI library that a solver executable was linked with; its launcher
// decides how ranks are placed.
type MPI string

// The MPI libraries that LS-DYNA is delivered for.
const (
	OpenMPI     MPI = "openmpi"
	IntelMPI    MPI = "intelmpi"
	PlatformMPI MPI = "platformmpi"
	MPICH       MPI = "mpich"
)

// Solver is one LS-DYNA executable, as the operator declares it.
type Solver struct {
	Name      string            // the name by which jobs choose it
	Path      string            // absolute path of the executable
	Parallel  Parallel          // smp when empty
	Precision Precision         // double when empty
	MPI       MPI               // needed for mpp and hybrid
	MPIRun    string            // absolute path of the launcher, needed for mpp and hybrid
	Env       map[string]string // further variables; these win over all others except the licence's
}

// WithDefaults fills in smp and double where nothing is set.
func (s Solver) WithDefaults() Solver {
	if s.Parallel == "" {
		s.Parallel = SMP
	}
	if s.Precision == "" {
		s.Precision = Double
	}
	return s
}

// FieldError is a setting that cannot work.
type FieldError struct {
	Field string // by its name in the configuration
	Text  string // for the operator, with what to do
}

func (e *FieldError) Error() string { return e.Text }

func (s Solver) refuse(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf("solver %q: ", s.Name) + fmt.Sprintf(format, args...)}
}

// Validate reports the first setting that cannot work, as a *FieldError. The file
// system is not looked at.
func (s Solver) Validate() error {
	s = s.WithDefaults()
	if !filepath.IsAbs(s.Path) {
		return s.refuse("path", "path must be absolute, not %q", s.Path)
	}
	switch s.Parallel {
	case SMP, MPP, Hybrid:
	default:
		return s.refuse("parallel", "parallel must be smp, mpp or hybrid, not %q", s.Parallel)
	}
	switch s.Precision {
	case Single, Double:
	default:
		return s.refuse("precision", "precision must be single or double, not %q", s.Precision)
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return s.refuse("env", "env has a variable with the impossible name %q", name)
		}
	}
	return s.validateMPI()
}

func (s Solver) validateMPI() error {
	if s.Parallel == SMP {
		if s.MPI != "" || s.MPIRun != "" {
			return s.refuse(map[bool]string{true: "mpi", false: "mpirun"}[s.MPI != ""], "mpi and mpirun are for parallel = \"mpp\" or \"hybrid\"; remove them or change parallel")
		}
		return nil
	}
	switch s.MPI {
	case OpenMPI, IntelMPI, PlatformMPI, MPICH:
	case "":
		return s.refuse("parallel", "parallel = %q needs mpi = openmpi, intelmpi, platformmpi or mpich", s.Parallel)
	default:
		return s.refuse("mpi", "mpi must be openmpi, intelmpi, platformmpi or mpich, not %q", s.MPI)
	}
	if !filepath.IsAbs(s.MPIRun) {
		return s.refuse("mpirun", "mpirun must be the absolute path of the launcher, not %q", s.MPIRun)
	}
	return nil
}
