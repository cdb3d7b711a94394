// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Doubt is a setting that a solver's executable contradicts by its name.
type Doubt struct {
	Key  string // parallel or precision
	Text string // what contradicts it, and what to do
}

// Doubts compares the settings with the name of the executable. Distributions name theirs
// ls-dyna_smp_d_R14_…, ls-dyna_mpp_s_…, ls-dyna_hyb_d_…, Ansys's lsdyna_sp and lsdyna_dp. A
// name that says nothing raises none. A wrong precision has memory= counted in words of the
// wrong size, a wrong parallel starts a build in the wrong way, and both show only in runs.
func (s Solver) Doubts() (doubts []Doubt) {
	s = s.WithDefaults()
	parallel, precision := readName(filepath.Base(s.Path))
	if parallel != "" && parallel != s.Parallel {
		doubts = append(doubts, Doubt{"parallel", fmt.Sprintf("by its name %s is built for %s, but parallel is %q: write parallel = %q, or name another path",
			filepath.Base(s.Path), strings.ToUpper(string(parallel)), s.Parallel, parallel)})
	}
	if precision != "" && precision != s.Precision {
		doubts = append(doubts, Doubt{"precision", fmt.Sprintf("by its name %s is of %s precision, but precision is %q, and memory is counted in words of that: write precision = %q, or name another path",
			filepath.Base(s.Path), precision, s.Precision, precision)})
	}
	return doubts
}

// readName returns what the name of an executable says, "" for what it does not. The
// letters s and d count behind the build only: others use them for themselves.
func readName(name string) (parallel Parallel, precision Precision) {
	builds := map[string]Parallel{"smp": SMP, "mpp": MPP, "hyb": Hybrid, "hybrid": Hybrid}
	letters := map[string]Precision{"s": Single, "d": Double}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
	for i, word := range words {
		switch {
		case parallel == "" && builds[word] != "":
			parallel = builds[word]
			if i+1 < len(words) && precision == "" {
				precision = letters[words[i+1]]
			}
		case precision == "" && word == "sp":
			precision = Single
		case precision == "" && word == "dp":
			precision = Double
		}
	}
	return parallel, precision
}
