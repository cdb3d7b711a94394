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

// Validate reports the first setting that cannot work. The error is for the
// operator. The file system is not looked at.
func (s Solver) Validate() error {
	s = s.WithDefaults()
	if !filepath.IsAbs(s.Path) {
		return fmt.Errorf("solver %q: path must be absolute, not %q", s.Name, s.Path)
	}
	switch s.Parallel {
	case SMP, MPP, Hybrid:
	default:
		return fmt.Errorf("solver %q: parallel must be smp, mpp or hybrid, not %q", s.Name, s.Parallel)
	}
	switch s.Precision {
	case Single, Double:
	default:
		return fmt.Errorf("solver %q: precision must be single or double, not %q", s.Name, s.Precision)
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("solver %q: env has a variable with the impossible name %q", s.Name, name)
		}
	}
	return s.validateMPI()
}

func (s Solver) validateMPI() error {
	if s.Parallel == SMP {
		if s.MPI != "" || s.MPIRun != "" {
			return fmt.Errorf("solver %q: mpi and mpirun are for parallel = \"mpp\" or \"hybrid\"; remove them or change parallel", s.Name)
		}
		return nil
	}
	switch s.MPI {
	case OpenMPI, IntelMPI, PlatformMPI, MPICH:
	case "":
		return fmt.Errorf("solver %q: parallel = %q needs mpi = openmpi, intelmpi, platformmpi or mpich", s.Name, s.Parallel)
	default:
		return fmt.Errorf("solver %q: mpi must be openmpi, intelmpi, platformmpi or mpich, not %q", s.Name, s.MPI)
	}
	if !filepath.IsAbs(s.MPIRun) {
		return fmt.Errorf("solver %q: mpirun must be the absolute path of the launcher, not %q", s.Name, s.MPIRun)
	}
	return nil
}
