// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"syscall"
)

// Affinity writes down on which CPUs the process and its workers may run.
type Affinity struct {
	rank  int
	out   io.Writer // stdout, nil above rank 0
	file  *os.File
	mu    sync.Mutex
	known map[string]string // thread → CPU list
	tids  map[string]int
}

// newAffinity opens the record and writes the main thread's mask.
func newAffinity(rank int, out io.Writer) (*Affinity, error) {
	file, err := os.Create(fmt.Sprintf("standin-affinity.%04d", rank))
	if err != nil {
		return nil, fmt.Errorf("write affinity: %w", err)
	}
	a := &Affinity{rank: rank, out: out, file: file, known: map[string]string{}, tids: map[string]int{}}
	a.record("main", os.Getpid())
	return a, nil
}

// record writes a thread's mask when it is new or has changed.
func (a *Affinity) record(thread string, tid int) {
	cpus := allowed(fmt.Sprintf("/proc/self/task/%d/status", tid))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[thread] == cpus {
		return
	}
	a.known[thread], a.tids[thread] = cpus, tid
	line := fmt.Sprintf("STANDIN-AFFINITY rank=%d pid=%d tid=%d thread=%s cpus=%s\n", a.rank, os.Getpid(), tid, thread, cpus)
	if a.out != nil {
		_, _ = io.WriteString(a.out, line)
	}
	_, _ = a.file.WriteString(line)
}

// refresh looks at all threads again: who runs the solver may have moved it.
func (a *Affinity) refresh() {
	a.mu.Lock()
	tids := maps.Clone(a.tids)
	a.mu.Unlock()
	for thread, tid := range tids {
		a.record(thread, tid)
	}
}

// worker records the calling worker thread.
func (a *Affinity) worker(i int) { a.record(fmt.Sprintf("worker%d", i), syscall.Gettid()) }

// allowed is Cpus_allowed_list of a /proc/…/status file.
func allowed(status string) string {
	text, err := os.ReadFile(status)
	if err != nil {
		return "?"
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list)
		}
	}
	return "?"
}
