// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "fmt"

// SMT says what happens to the hardware threads of a core beside the first.
type SMT string

const (
	// SMTIsolate gives out whole physical cores: the job is bound to one
	// thread of each, the sibling threads stay idle and belong to the lease.
	SMTIsolate SMT = "isolate"
	// SMTShare gives out logical CPUs: a sibling is a core like any other.
	SMTShare SMT = "share"
)

// Layout says how a job's cores are spread over the machine.
type Layout string

const (
	// LayoutPack uses the fewest packages, then NUMA nodes, then L3 caches.
	LayoutPack Layout = "pack"
	// LayoutScatter spreads evenly over NUMA nodes, then over L3 caches.
	LayoutScatter Layout = "scatter"
)

// Options are the allocator's settings; the zero value means isolate and pack.
type Options struct {
	SMT    SMT
	Layout Layout
}

// ParseSMT reads the value of the agent's `smt`; "" is isolate.
func ParseSMT(text string) (SMT, error) {
	switch smt := SMT(text); smt {
	case "":
		return SMTIsolate, nil
	case SMTIsolate, SMTShare:
		return smt, nil
	}
	return "", fmt.Errorf("smt is %q: use %q (one thread a physical core, siblings left idle) or %q (siblings are cores too)", text, SMTIsolate, SMTShare)
}

// ParseLayout reads the value of the agent's `layout`; "" is pack.
func ParseLayout(text string) (Layout, error) {
	switch layout := Layout(text); layout {
	case "":
		return LayoutPack, nil
	case LayoutPack, LayoutScatter:
		return layout, nil
	}
	return "", fmt.Errorf("layout is %q: use %q (fewest NUMA nodes and caches) or %q (spread evenly over NUMA nodes)", text, LayoutPack, LayoutScatter)
}

// Validate returns an error that says what to write instead, or nil.
func (o Options) Validate() error {
	if _, err := ParseSMT(string(o.SMT)); err != nil {
		return err
	}
	_, err := ParseLayout(string(o.Layout))
	return err
}

// isolate reports whether leases are of whole cores.
func (o Options) isolate() bool { return o.SMT != SMTShare }

// scatter reports whether jobs are spread.
func (o Options) scatter() bool { return o.Layout == LayoutScatter }
