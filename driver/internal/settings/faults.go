// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Key is where something stands in a block: the names of the blocks and labels that lead
// to it, and its own, such as solver, r14, path.
type Key []string

// String returns the names with dots between.
func (k Key) String() string { return strings.Join(k, ".") }

// Words are the values that a key of the agent's block may have, where these are a few
// words; nil for any other.
func (k Key) Words() []string {
	if len(k) == 0 {
		return nil
	}
	switch k[0] + "." + k[len(k)-1] {
	case "cores.smt":
		return []string{string(allocator.SMTIsolate), string(allocator.SMTShare)}
	case "cores.layout":
		return []string{string(allocator.LayoutPack), string(allocator.LayoutScatter)}
	case "cores.memory":
		return []string{string(placement.MemoryPreferred), string(placement.MemoryStrict), string(placement.MemoryNone)}
	case "solver.parallel":
		return []string{string(lsdyna.SMP), string(lsdyna.MPP), string(lsdyna.Hybrid)}
	case "solver.precision":
		return []string{string(lsdyna.Single), string(lsdyna.Double)}
	case "solver.mpi":
		return []string{string(lsdyna.OpenMPI), string(lsdyna.IntelMPI), string(lsdyna.PlatformMPI), string(lsdyna.MPICH)}
	case "license.type":
		return []string{"network", "local", "ansys"}
	}
	return nil
}

// Fault is one thing that is wrong with a block.
type Fault struct {
	Key Key
	err error
}

// Error says what is wrong, where, and what to do.
func (f *Fault) Error() string { return f.err.Error() }

func (f *Fault) Unwrap() error { return f.err }

// Faults are the faults that an error of Parse reports.
func Faults(err error) (faults []*Fault) {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, one := range several.Unwrap() {
		if fault, ok := errors.AsType[*Fault](one); ok {
			faults = append(faults, fault)
		}
	}
	return faults
}

// problems collects everything that is wrong with a block.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// check adds an error as it is, if it is one.
func (p *problems) check(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

// fault is add for something of which it is known where it stands.
func (p *problems) fault(key Key, format string, args ...any) {
	*p = append(*p, &Fault{key, fmt.Errorf(format, args...)})
}

// checkAt is check for an error about what stands at key, or about a field below it.
func (p *problems) checkAt(key Key, err error) {
	if err == nil {
		return
	}
	if field, ok := errors.AsType[*lsdyna.FieldError](err); ok {
		key = append(slices.Clip(key), field.Field)
	}
	*p = append(*p, &Fault{key, err})
}

func (p *problems) err() error { return errors.Join(*p...) }
