// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"os"
	"slices"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// After a restart each task may be bound to what it had: that must not wait for
// the disk. A pid file that says something else is replaced whole, as ever.
func TestBindToTheSameWritesNothing(t *testing.T) {
	k := shell(t, "sleep 1000")
	k.spec.CPUs = someCPUs(t, 1)
	p := k.start()
	pidInfo := func() os.FileInfo {
		info, err := os.Stat(pidPath(k.dir))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := pidInfo()
	if err := p.Bind(cpuset.Of(k.spec.CPUs...)); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, pidInfo()) {
		t.Error("the pid file was written though it said so already")
	}
	if err := p.Bind(cpuset.Set{}); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, pidInfo()) {
		t.Error("the pid file was not replaced though it said something else")
	}
	if r, err := p.Record(); err != nil || r.Cores == nil || len(r.Cores) != 0 {
		t.Errorf("cores %v, %v", r.Cores, err)
	}
	if err := tree(t, p).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.wait(p)
}

// Whoever changes the record that it was given does not change the next one's.
func TestRecordIsTheCallersOwn(t *testing.T) {
	k := shell(t, "sleep 1000")
	k.spec.CPUs = someCPUs(t, 1)
	p := k.start()
	first, err := p.Record()
	if err != nil {
		t.Fatal(err)
	}
	first.Cores[0] = -1
	second, err := p.Record()
	if err != nil || !slices.Equal(second.Cores, k.spec.CPUs) {
		t.Errorf("cores %v, want %v (%v)", second.Cores, k.spec.CPUs, err)
	}
	whole, err := os.ReadFile(pidPath(k.dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pidPath(k.dir), []byte("spoiled"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Record(); err == nil {
		t.Error("a spoiled pid file went unnoticed")
	}
	if err := os.WriteFile(pidPath(k.dir), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Record(); err != nil || r.PID != second.PID {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := tree(t, p).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.wait(p)
}
