// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"fmt"
	"math"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// AutoMemory asks for memory= and memory2= to be computed from the run's memory
// limit.
const AutoMemory = "auto"

// The share of the run's memory that "auto" gives to the static pool that
// memory= sets up at the start. The other half is for what LS-DYNA allocates
// outside of that pool (in the R14 outputs seen, 30 to 100 times as much as the
// pool for a small implicit model), for MPI's buffers, and for the page cache
// of its outputs, which the kernel charges to the same limit. A pool that turns
// out too large costs nothing until it is touched; one too small grows.
const autoNumerator, autoDenominator = 1, 2

// maxSingleWords is what fits a single precision solver's 4-byte integers (I4R4).
const maxSingleWords = math.MaxInt32

type memoryPlan struct {
	memory, memory2 string // as they go on the command line; "" for the solver's default
	words2          int64  // of a run over several nodes: what memory2 may be here, before all nodes are known
	notes           []string
}

// planMemory computes both pools. For MPP "auto" gives rank 0 one half of the
// pool, because it reads and decomposes the whole model, and divides the other
// half among the other ranks.
func planMemory(s lsdyna.Solver, o Options, ranks int) (memoryPlan, error) {
	var plan memoryPlan
	if s.Parallel == lsdyna.SMP && o.Memory2 != "" && o.Memory2 != AutoMemory {
		return plan, fmt.Errorf("memory2 = %q is for MPP ranks above 0, but solver %q is SMP; remove memory2", o.Memory2, s.Name)
	}
	words, words2 := autoWords(s.Precision, o, ranks)
	var err error
	if plan.memory, words, err = memoryArg("memory", o.Memory, words); err != nil {
		return plan, err
	}
	memory2 := o.Memory2
	if memory2 == "" && o.Memory == AutoMemory {
		memory2 = AutoMemory
	}
	switch {
	case o.Nodes > 1 && memory2 == AutoMemory:
		plan.words2, memory2 = words2, "" // the least of all nodes counts
	case o.Nodes <= 1 && ranks == 1:
		memory2 = ""
	}
	if plan.memory2, words2, err = memoryArg("memory2", memory2, words2); err != nil {
		return plan, err
	}
	first, others := words, ranks-1
	if o.Follower {
		first, others = 0, ranks
	}
	plan.notes = memoryNotes(s.Precision, o.ResourceMemoryBytes, float64(first)+float64(max(words2, plan.words2))*float64(others), ranks)
	return plan, nil
}

func autoWords(p lsdyna.Precision, o Options, ranks int) (rank0, others int64) {
	pool := o.ResourceMemoryBytes / autoDenominator * autoNumerator / p.WordBytes()
	rank0 = pool
	switch {
	case o.Follower:
		others = pool / int64(ranks)
	case ranks > 1:
		rank0 = pool / 2
		others = pool / 2 / int64(ranks-1)
	}
	if p == lsdyna.Single {
		rank0, others = min(rank0, maxSingleWords), min(others, maxSingleWords)
	}
	return rank0, others
}

// memoryArg is the text for the command line, and the number of words it means.
func memoryArg(key, text string, auto int64) (string, int64, error) {
	switch text {
	case "":
		return "", 0, nil
	case AutoMemory:
		if auto <= 0 {
			return "", 0, nil // the limit is not known: LS-DYNA's default
		}
		return strconv.FormatInt(auto, 10), auto, nil
	}
	words, err := lsdyna.ParseWords(text)
	if err != nil {
		return "", 0, fmt.Errorf("%s = %q: %w", key, text, err)
	}
	return text, words, nil
}

// memoryNotes warns when the pools alone exceed the run's limit: the kernel would
// end the run once it uses them.
func memoryNotes(p lsdyna.Precision, limitBytes int64, words float64, ranks int) []string {
	if limitBytes <= 0 {
		return nil
	}
	bytes := words * float64(p.WordBytes())
	if bytes <= float64(limitBytes) {
		return nil
	}
	return []string{fmt.Sprintf("memory= asks for %.0f MiB (%s precision, %s), more than the %d MiB of resources.memory: the run will be ended when it uses them",
		bytes/(1<<20), p, count(ranks, "rank"), limitBytes>>20)}
}

// count is a number of things in words.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
