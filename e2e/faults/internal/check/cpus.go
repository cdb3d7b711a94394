// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parseCPUs reads the kernel's cpulist format, "0-3,8". It is this package's
// own: the driver's parser is among what is checked.
func parseCPUs(list string) ([]int, error) {
	cpus := []int{}
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		if part == "" {
			continue
		}
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("CPU list %q: %w", list, err)
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(last); err != nil {
				return nil, fmt.Errorf("CPU list %q: %w", list, err)
			}
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return sorted(cpus), nil
}

func sorted(cpus []int) []int {
	cpus = slices.Clone(cpus)
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

func within(cpus, all []int) bool {
	return !slices.ContainsFunc(cpus, func(c int) bool { return !slices.Contains(all, c) })
}

func overlap(a, b []int) bool {
	return slices.ContainsFunc(a, func(c int) bool { return slices.Contains(b, c) })
}
