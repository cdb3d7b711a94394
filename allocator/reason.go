// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/internal/grid"
)

// reason says why a job of n cores got these: what it spans, what kept it
// from spanning less, and what kind of cores they are.
func reason(f grid.Facts, n, idleSiblings int, scatter bool) string {
	var parts []string
	if scatter {
		parts = append(parts, fmt.Sprintf("spread evenly over %s and %s", plural(f.NUMANodes, "NUMA node"), plural(f.L3s, "L3 cache")))
	} else {
		parts = append(parts, packReason(f, n))
	}
	if idleSiblings > 0 {
		parts = append(parts, plural(idleSiblings, "sibling thread")+" left idle")
	}
	if f.Note != "" {
		parts = append(parts, f.Note)
	}
	return strings.Join(parts, "; ")
}

// packReason names the smallest domain that holds the job and, where that is
// not the smallest there is, why no smaller one does.
func packReason(f grid.Facts, n int) string {
	switch {
	case f.L3s == 1 && f.AllL3s == 1:
		return "the machine has one L3 cache"
	case f.L3s == 1 && f.L3sWithRoom > 1:
		return fmt.Sprintf("fits one L3 cache, the tightest of %d with room", f.L3sWithRoom)
	case f.L3s == 1:
		return "fits one L3 cache, the only one with room"
	case f.NUMANodes == 1 && f.AllNUMANodes > 1:
		return fmt.Sprintf("no L3 cache has %s free, so %d L3 caches of one NUMA node", plural(n, "core"), f.L3s)
	case f.NUMANodes == 1 || f.Packages == 1 && f.AllNUMANodes == 1:
		return fmt.Sprintf("no L3 cache has %s free, so %d L3 caches", plural(n, "core"), f.L3s)
	case f.Packages == 1:
		return fmt.Sprintf("no NUMA node has %s free, so %d NUMA nodes and %d L3 caches of one package", plural(n, "core"), f.NUMANodes, f.L3s)
	case f.PackagesWithRoom == 0:
		return fmt.Sprintf("no package has %s free, so %d packages, %s and %s", plural(n, "core"), f.Packages, plural(f.NUMANodes, "NUMA node"), plural(f.L3s, "L3 cache"))
	}
	return fmt.Sprintf("%d packages, %s and %s", f.Packages, plural(f.NUMANodes, "NUMA node"), plural(f.L3s, "L3 cache"))
}
