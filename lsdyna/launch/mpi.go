// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// RankFile is the name, in the run folder, of the file that gives Open MPI the
// CPUs of each rank.
const RankFile = ".lsdyna-rankfile"

// rankPlan is how the cores of a run become ranks and threads.
type rankPlan struct {
	threads int     // of each rank
	ranks   [][]int // CPUs of each rank; nil entries where the run is not pinned
}

func (p rankPlan) pinned() bool { return len(p.ranks) > 0 && len(p.ranks[0]) > 0 }

// planRanks divides the cores. SMP is one rank. MPP is one rank a core. Hybrid
// is one rank a NUMA node; where the nodes' shares differ, each node gets
// several ranks of the largest size that divides all shares, because LS-DYNA
// knows one ncpu= for all ranks.
func planRanks(s lsdyna.Solver, o Options) (rankPlan, error) {
	n := max(o.NCPU, -o.NCPU, 1)
	nodes, err := o.Placement.share(n)
	if err != nil {
		return rankPlan{}, err
	}
	if s.Parallel == lsdyna.SMP {
		return rankPlan{threads: n, ranks: make([][]int, 1)}, nil
	}
	threads := 1
	if s.Parallel == lsdyna.Hybrid {
		threads = n
		if nodes != nil {
			threads = 0
			for _, cpus := range nodes {
				threads = gcd(threads, len(cpus))
			}
		}
	}
	if o.RanksPerNode > 0 {
		if n%o.RanksPerNode != 0 {
			return rankPlan{}, fmt.Errorf("ranks_per_node = %d does not divide ncpu = %d", o.RanksPerNode, n)
		}
		threads = n / o.RanksPerNode
	}
	plan := rankPlan{threads: threads, ranks: pack(nodes, threads, o.Placement.Caches)}
	if nodes == nil {
		plan.ranks = make([][]int, n/threads)
	}
	return plan, nil
}

// pack gives each rank CPUs for its threads: first the ranks that fit into one L3 cache,
// then those that fit into one NUMA node, and last those that have cores of several.
func pack(nodes [][]int, threads int, caches map[int]int) (ranks [][]int) {
	// whole takes as many whole ranks as there are, and returns what is left.
	whole := func(cpus []int) []int {
		n := len(cpus) / threads * threads
		ranks = slices.AppendSeq(ranks, slices.Chunk(cpus[:n], threads))
		return cpus[n:]
	}
	var over []int
	for _, cpus := range nodes {
		var left []int
		for _, group := range byCache(cpus, caches) {
			left = append(left, whole(group)...)
		}
		over = append(over, whole(left)...)
	}
	whole(over)
	return ranks
}

// byCache divides CPUs by their L3 caches, in their order. Those without are one group.
func byCache(cpus []int, caches map[int]int) (groups [][]int) {
	const none = -1
	at := map[int]int{}
	for _, cpu := range cpus {
		cache, ok := caches[cpu]
		if !ok {
			cache = none
		}
		i, seen := at[cache]
		if !seen {
			i = len(groups)
			at[cache], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], cpu)
	}
	return groups
}

// share takes n CPUs out of the placement, spread over the NUMA nodes as evenly
// as they allow, node by node. It is nil where the run is not pinned.
func (p Placement) share(n int) ([][]int, error) {
	if len(p.CPUs) == 0 && len(p.ByNode) == 0 {
		return nil, nil
	}
	byNode := p.ByNode
	if len(byNode) == 0 {
		byNode = [][]int{p.CPUs}
	}
	seen := map[int]bool{}
	for _, cpus := range byNode {
		for _, cpu := range cpus {
			if cpu < 0 || seen[cpu] {
				return nil, fmt.Errorf("CPU %d in the placement is negative or there twice", cpu)
			}
			seen[cpu] = true
		}
	}
	if len(seen) < n {
		return nil, fmt.Errorf("ncpu = %d, but only %d CPUs were leased: each rank and thread needs its own", n, len(seen))
	}
	taken := make([]int, len(byNode))
	for left := n; left > 0; {
		for i := range byNode {
			if left > 0 && taken[i] < len(byNode[i]) {
				taken[i]++
				left--
			}
		}
	}
	var nodes [][]int
	for i, cpus := range byNode {
		if taken[i] > 0 {
			nodes = append(nodes, cpus[:taken[i]])
		}
	}
	return nodes, nil
}

// launcher is a launcher's part of the command.
type launcher struct {
	args  []string
	files map[string][]byte
}

// launcherArgs gives every rank its CPUs by the launcher's own options. No launcher
// may choose CPUs itself: Open MPI 4 ignores the affinity that it inherits and puts
// the first rank of every job on the machine's first core.
func launcherArgs(s lsdyna.Solver, o Options, plan rankPlan) launcher {
	np := []string{"-np", strconv.Itoa(len(plan.ranks))}
	switch s.MPI {
	case lsdyna.IntelMPI:
		return launcher{args: append(intelArgs(plan), np...)}
	case lsdyna.PlatformMPI:
		return launcher{args: append(platformArgs(plan), np...)}
	case lsdyna.MPICH:
		return launcher{args: append(mpichArgs(plan), np...)}
	default:
		return openMPIArgs(o, plan, np)
	}
}

// openMPIArgs uses a rankfile with physical numbers. Without the two switches
// before it, Open MPI 4 reads a slot as the n-th core that hwloc counts, which
// on a machine with SMT or several sockets is not the CPU of that number; the
// same holds for --cpu-set, which therefore is no way to name a CPU.
// Source: opal_hwloc_base_get_pu in Open MPI 4.1, and tried with mpirun 4.1.4.
func openMPIArgs(o Options, plan rankPlan, np []string) launcher {
	var l launcher
	if o.Root {
		l.args = append(l.args, "--allow-run-as-root")
	}
	l.args = append(l.args, np...)
	if !plan.pinned() {
		// A run that is not pinned may have more ranks than there are cores,
		// which Open MPI refuses to start without --oversubscribe.
		l.args = append(l.args, "--bind-to", "none", "--oversubscribe")
		return l
	}
	l.args = append(l.args, "--use-hwthread-cpus", "--mca", "rmaps_rank_file_physical", "1", "--rankfile", RankFile)
	var b strings.Builder
	for rank, cpus := range plan.ranks {
		fmt.Fprintf(&b, "rank %d=localhost slot=%s\n", rank, commaList(cpus))
	}
	l.files = map[string][]byte{RankFile: []byte(b.String())}
	return l
}

// intelArgs names one CPU per rank, or a mask per rank where a rank has threads.
// The i-th rank goes to the i-th CPU of the list, or to the i-th domain; the
// list is ignored where a domain is given.
// Source: Intel MPI developer reference, "Environment Variables for Process
// Pinning" and "Interoperability with OpenMP API".
func intelArgs(plan rankPlan) []string {
	if !plan.pinned() {
		return []string{"-genv", "I_MPI_PIN", "off"}
	}
	args := []string{"-genv", "I_MPI_PIN", "on"}
	if plan.threads == 1 {
		return append(args, "-genv", "I_MPI_PIN_PROCESSOR_LIST", commaList(slices.Concat(plan.ranks...)))
	}
	return append(args, "-genv", "I_MPI_PIN_DOMAIN", "["+strings.Join(masks(plan.ranks, ""), ",")+"]")
}

// platformArgs names one CPU or one mask per rank; CPUs are numbered as in
// /proc/cpuinfo, masks are hexadecimal. MAP_CPU is in capitals as in the guide's
// examples: -cpu_bind=MAP_CPU:0,6,5.
// Source: HP-MPI (later Platform MPI) user's guide, "CPU binding".
func platformArgs(plan rankPlan) []string {
	switch {
	case !plan.pinned():
		return []string{"-aff=none"}
	case plan.threads == 1:
		return []string{"-cpu_bind=MAP_CPU:" + commaList(slices.Concat(plan.ranks...))}
	default:
		return []string{"-cpu_bind=MASK_CPU:" + strings.Join(masks(plan.ranks, "0x"), ",")}
	}
}

// mpichArgs names the CPUs of each rank, joined by +.
// Source: Hydra's own -bind-to -help ("user:0+2,1+4").
func mpichArgs(plan rankPlan) []string {
	if !plan.pinned() {
		return []string{"-bind-to", "none"}
	}
	places := make([]string, len(plan.ranks))
	for i, cpus := range plan.ranks {
		places[i] = strings.ReplaceAll(commaList(cpus), ",", "+")
	}
	return []string{"-bind-to", "user:" + strings.Join(places, ",")}
}

func commaList(cpus []int) string {
	text := make([]string, len(cpus))
	for i, cpu := range cpus {
		text[i] = strconv.Itoa(cpu)
	}
	return strings.Join(text, ",")
}

// masks are the CPUs of each rank as a hexadecimal number, bit 0 for CPU 0.
func masks(ranks [][]int, prefix string) []string {
	text := make([]string, len(ranks))
	for i, cpus := range ranks {
		mask := new(big.Int)
		for _, cpu := range cpus {
			mask.SetBit(mask, cpu, 1)
		}
		text[i] = prefix + mask.Text(16)
	}
	return text
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
