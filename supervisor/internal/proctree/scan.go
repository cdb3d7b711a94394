// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"sync"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Scan is every process that there was at one moment.
type Scan struct {
	all   map[int]procfs.Stat
	ended []int // while it was made
}

// NewScan reads the status of all processes.
func NewScan(procRoot string) (*Scan, error) {
	pids, err := procfs.PIDs(procRoot)
	if err != nil {
		return nil, err
	}
	s := &Scan{all: make(map[int]procfs.Stat, len(pids))}
	for _, pid := range pids {
		if p, err := procfs.ReadStat(procRoot, pid); err == nil {
			s.all[pid] = p
		} else {
			s.ended = append(s.ended, pid)
		}
	}
	return s, nil
}

// Shared is a scan for several tasks, made when the first of them needs it: without
// cgroups each would look through all of /proc.
type Shared struct {
	once sync.Once
	scan *Scan
	err  error
}

// Get returns the scan.
func (s *Shared) Get(procRoot string) (*Scan, error) {
	s.once.Do(func() { s.scan, s.err = NewScan(procRoot) })
	return s.scan, s.err
}
