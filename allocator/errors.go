// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

var (
	// ErrAlreadyLeased is returned where an owner that has a lease asks for another.
	ErrAlreadyLeased = errors.New("owner already has a lease")
	// ErrNoLease is returned where an owner without a lease is to be moved.
	ErrNoLease = errors.New("owner has no lease")
	// ErrNoCores is returned where no core at all is asked for.
	ErrNoCores = errors.New("at least one core must be asked for")
)

// ShortageError says that fewer cores are free than a job asks for.
type ShortageError struct {
	Asked int // cores: physical ones in isolate mode, logical CPUs in share mode
	Free  int // the same unit
}

func (e *ShortageError) Error() string {
	return fmt.Sprintf("%s asked, %d free", plural(e.Asked, "core"), e.Free)
}

// Conflict names CPUs that were reserved for one owner.
type Conflict struct {
	Owner string
	CPUs  cpuset.Set
}

// ConflictError says why CPUs cannot be reserved for an owner.
type ConflictError struct {
	Asked   cpuset.Set
	Held    []Conflict // ordered by owner
	Offline cpuset.Set
}

func (e *ConflictError) Error() string {
	var reasons []string
	for _, c := range e.Held {
		reasons = append(reasons, fmt.Sprintf("%s held by %s", c.CPUs, c.Owner))
	}
	if !e.Offline.IsEmpty() {
		reasons = append(reasons, fmt.Sprintf("%s offline", e.Offline))
	}
	are := "are"
	if e.Asked.Len() == 1 {
		are = "is"
	}
	return fmt.Sprintf("%s %s not free: %s", Name(e.Asked), are, strings.Join(reasons, ", "))
}

// plural returns "1 core", "2 cores".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
