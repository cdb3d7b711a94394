// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import (
	"math"
	"math/rand"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
)

// The trace that placement quality is measured on: jobs of whole cores come at
// random, stay for a random time, and are rejected when too few cores are free.
// Counted are the jobs that span more domains than they would on an idle
// machine. docs/measured.md has the figures.

var (
	traceSizes   = []int{2, 4, 6, 8, 12, 16, 24, 32, 48}
	traceWeights = []int{6, 12, 8, 20, 10, 20, 10, 10, 4} // of 100
)

const (
	traceJobs = 1500
	traceLoad = 0.95 // share of the cores asked for on average
)

type traceJob struct {
	cores      int
	start, end float64
}

// jobTrace draws the jobs; the order of the draws is a part of the definition.
func jobTrace(cores int, seed int64) []traceJob {
	r := rand.New(rand.NewSource(seed))
	mean := 0.0
	for i, size := range traceSizes {
		mean += float64(size*traceWeights[i]) / 100
	}
	rate := traceLoad * float64(cores) / (mean * 100)
	jobs := make([]traceJob, traceJobs)
	now := 0.0
	for i := range jobs {
		now += r.ExpFloat64() / rate
		size := drawSize(r.Intn(100))
		jobs[i] = traceJob{size, now, now + math.Exp(r.NormFloat64()+math.Log(100)-0.5)}
	}
	return jobs
}

func drawSize(k int) int {
	for i, weight := range traceWeights {
		if k < weight {
			return traceSizes[i]
		}
		k -= weight
	}
	return 0
}

// spans counts jobs by what they straddle.
type spans struct {
	jobs, packages, nodes, l3s int
}

func percent(part, of int) float64 { return 100 * float64(part) / float64(of) }

// replay runs the trace through an allocator.
func (s *spans) replay(t testing.TB, machine topologytest.Shape, opts Options, seed int64) {
	topo := machine.Topology()
	a := New(topo, topo.Online, opts)
	perNode := machine.L3s * machine.Cores
	perPackage := machine.Nodes * perNode
	running := map[string]float64{}
	for i, job := range jobTrace(topo.PhysicalCores(), seed) {
		for owner, end := range running {
			if end <= job.start {
				a.Release(owner)
				delete(running, owner)
			}
		}
		owner := strconv.Itoa(i)
		lease, err := a.Allocate(owner, job.cores)
		if err != nil {
			must.Less(t, job.cores, a.Available())
			continue
		}
		running[owner] = job.end
		packages, nodes, l3s := domains(topo, lease.CPUs)
		s.jobs++
		s.packages += more(packages, job.cores, perPackage)
		s.nodes += more(nodes, job.cores, perNode)
		s.l3s += more(l3s, job.cores, machine.Cores)
	}
}

// more returns 1 where a job spans more domains of a size than it must.
func more(spanned, cores, size int) int {
	if spanned > (cores+size-1)/size {
		return 1
	}
	return 0
}

// domains counts what the CPUs span.
func domains(topo *topology.Topology, cpus cpuset.Set) (packages, nodes, l3s int) {
	p, n, l := map[int]bool{}, map[int]bool{}, map[int]bool{}
	for index := range cpus.All() {
		cpu, _ := topo.CPU(index)
		p[cpu.Package], n[cpu.NUMANode] = true, true
		if cpu.L3 == topology.None {
			l[-2-cpu.Package*cpuset.MaxCPUs-cpu.NUMANode] = true
		} else {
			l[cpu.L3] = true
		}
	}
	return len(p), len(n), len(l)
}

// qualityMachine is a machine with the most that may straddle, in percent.
type qualityMachine struct {
	name                 string
	shape                topologytest.Shape
	maxPkg, maxNode, max float64
}

var qualityMachines = []qualityMachine{
	{"2x64_cores_16_L3", topologytest.Of(2, 1, 8, 8, 2), 4.7, 100, 4},
	{"2x64_cores_8_nodes", topologytest.Of(2, 4, 2, 8, 2), 4.7, 10, 4},
	{"2x96_cores_24_L3", topologytest.Of(2, 1, 12, 8, 2), 3.5, 100, 4},
	{"2x20_cores", topologytest.Of(2, 1, 1, 20, 2), 4.2, 100, 100},
}

func (m qualityMachine) measure(t testing.TB, seeds ...int64) (s spans) {
	for _, seed := range seeds {
		s.replay(t, m.shape, Options{}, seed)
	}
	return s
}

// BenchmarkQuality reports the share of straddling jobs on the traces with the
// seeds 1, 2 and 3, which the peers' figures are for, and on 40 other traces,
// which the weights were not chosen by.
func BenchmarkQuality(b *testing.B) {
	traces := []struct {
		name  string
		seeds []int64
	}{{"seeds_1_2_3", []int64{1, 2, 3}}, {"seeds_101_to_140", make([]int64, 40)}}
	for i := range traces[1].seeds {
		traces[1].seeds[i] = int64(101 + i)
	}
	for _, m := range qualityMachines {
		for _, tr := range traces {
			b.Run(m.name+"/"+tr.name, func(b *testing.B) {
				var s spans
				for b.Loop() {
					s = m.measure(b, tr.seeds...)
				}
				b.ReportMetric(percent(s.l3s, s.jobs), "%L3")
				b.ReportMetric(percent(s.nodes, s.jobs), "%NUMA")
				b.ReportMetric(percent(s.packages, s.jobs), "%socket")
			})
		}
	}
}

// TestPack_meetsTheBars keeps the figures that BenchmarkQuality shows.
func TestPack_meetsTheBars(t *testing.T) {
	for _, m := range qualityMachines {
		t.Run(m.name, func(t *testing.T) {
			s := m.measure(t, 1, 2, 3)
			must.LessEq(t, m.maxPkg, percent(s.packages, s.jobs), must.Sprint("% that straddle sockets"))
			must.LessEq(t, m.maxNode, percent(s.nodes, s.jobs), must.Sprint("% that straddle NUMA nodes"))
			must.LessEq(t, m.max, percent(s.l3s, s.jobs), must.Sprint("% that straddle L3 caches"))
		})
	}
}
