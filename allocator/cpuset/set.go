// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package cpuset is a set of logical CPUs as a plain value.
//
// A Set is a fixed array of words: it is copied by assignment, compared with
// ==, usable as a map key, and no operation on it allocates except those that
// return text or a slice. It reads and writes the kernel's two text forms, the
// list ("0-3,8") of cpuset(7) and the mask ("f,ffffffff") of the same page.
//
// The package touches no file and no process. It is the only CPU set of the driver,
// and its limit the only one; the supervisor and the pid file use it too, so it
// imports little (see package supervisor/shim).
package cpuset

import (
	"fmt"
	"iter"
	"math/bits"
)

// MaxCPUs is the number of logical CPUs a Set has room for; the largest index
// is MaxCPUs-1. The kernel's own limit on x86-64 is 8192 (CONFIG_NR_CPUS), the
// largest machine on sale has fewer than 2048.
const MaxCPUs = 2048

const words = MaxCPUs / 64

// Words are the bits of a set: CPU n is bit n%64 of word n/64, as in the masks of
// sched_setaffinity(2).
type Words = [words]uint64

// Set is a set of logical CPU indices. The zero value is the empty set.
type Set struct {
	w Words
}

// Of returns the set of the given CPUs. It is for indices that are valid for
// certain, and panics like an array on one out of [0, MaxCPUs); FromSlice is for
// those that come from outside.
func Of(cpus ...int) Set {
	s, err := FromSlice(cpus)
	if err != nil {
		panic(err) //nolint:forbidigo // a mistake of the caller, as an index out of range is
	}
	return s
}

// FromSlice returns the set of the given CPUs, or an error that names the first one
// out of [0, MaxCPUs).
func FromSlice(cpus []int) (Set, error) {
	var s Set
	for _, cpu := range cpus {
		if !s.Add(cpu) {
			return Set{}, fmt.Errorf("%d is no CPU index: 0 to %d are supported", cpu, MaxCPUs-1)
		}
	}
	return s, nil
}

// FromWords returns the set with these bits.
func FromWords(w Words) Set { return Set{w} }

// Words returns the bits of the set.
func (s Set) Words() Words { return s.w }

// Range returns the set of all CPUs from first to last, both included.
func Range(first, last int) Set {
	var s Set
	for cpu := max(first, 0); cpu <= min(last, MaxCPUs-1); cpu++ {
		s.w[cpu>>6] |= 1 << (cpu & 63)
	}
	return s
}

// Add puts a CPU into the set. It reports whether that was possible: an index out of
// [0, MaxCPUs) is left out.
func (s *Set) Add(cpu int) bool {
	if uint(cpu) >= MaxCPUs {
		return false
	}
	s.w[cpu>>6] |= 1 << (cpu & 63)
	return true
}

// Remove takes a CPU out of the set; one that is not in it is ignored.
func (s *Set) Remove(cpu int) {
	if uint(cpu) < MaxCPUs {
		s.w[cpu>>6] &^= 1 << (cpu & 63)
	}
}

// Contains reports whether the CPU is in the set.
func (s Set) Contains(cpu int) bool {
	return uint(cpu) < MaxCPUs && s.w[cpu>>6]&(1<<(cpu&63)) != 0
}

// Union returns the CPUs that are in s, in t, or in both.
func (s Set) Union(t Set) Set {
	for i := range s.w {
		s.w[i] |= t.w[i]
	}
	return s
}

// Intersect returns the CPUs that are in both s and t.
func (s Set) Intersect(t Set) Set {
	for i := range s.w {
		s.w[i] &= t.w[i]
	}
	return s
}

// Difference returns the CPUs of s that are not in t.
func (s Set) Difference(t Set) Set {
	for i := range s.w {
		s.w[i] &^= t.w[i]
	}
	return s
}

// SubsetOf reports whether every CPU of s is in t.
func (s Set) SubsetOf(t Set) bool {
	for i := range s.w {
		if s.w[i]&^t.w[i] != 0 {
			return false
		}
	}
	return true
}

// Overlaps reports whether s and t have a CPU in common.
func (s Set) Overlaps(t Set) bool {
	for i := range s.w {
		if s.w[i]&t.w[i] != 0 {
			return true
		}
	}
	return false
}

// Len returns the number of CPUs in the set.
func (s Set) Len() int {
	n := 0
	for _, w := range s.w {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsEmpty reports whether the set has no CPU.
func (s Set) IsEmpty() bool { return s == Set{} }

// First returns the lowest CPU, or -1 where the set is empty.
func (s Set) First() int {
	for i, w := range s.w {
		if w != 0 {
			return i<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// Last returns the highest CPU, or -1 where the set is empty.
func (s Set) Last() int {
	for i := words - 1; i >= 0; i-- {
		if s.w[i] != 0 {
			return i<<6 + 63 - bits.LeadingZeros64(s.w[i])
		}
	}
	return -1
}

// All iterates over the CPUs in ascending order.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s.w {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// Slice returns the CPUs in ascending order, never nil, so that its JSON is [].
func (s Set) Slice() []int {
	cpus := make([]int, 0, s.Len())
	for cpu := range s.All() {
		cpus = append(cpus, cpu)
	}
	return cpus
}
