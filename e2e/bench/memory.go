// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// privateBytes adds up what of a process nobody else has: what would be free
// without it. rollup is its /proc/PID/smaps_rollup.
func privateBytes(rollup string) (int64, error) {
	var total int64
	found := 0
	for line := range strings.Lines(rollup) {
		name, rest, _ := strings.Cut(line, ":")
		if name != "Private_Clean" && name != "Private_Dirty" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil || kib < 0 || kib > 1<<40 {
			return 0, fmt.Errorf("smaps_rollup: %q is no size", strings.TrimSpace(line))
		}
		total += kib << 10
		found++
	}
	if found != 2 {
		return 0, errors.New("smaps_rollup: no private memory in it")
	}
	return total, nil
}

// privateOf returns the private memory of each process, in bytes.
func privateOf(processes []proc.Process) ([]float64, error) {
	sizes := make([]float64, 0, len(processes))
	for _, p := range processes {
		raw, err := os.ReadFile(filepath.Join(proc.Root, strconv.Itoa(p.PID), "smaps_rollup"))
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", p, err)
		}
		n, err := privateBytes(string(raw))
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", p, err)
		}
		sizes = append(sizes, float64(n))
	}
	return sizes, nil
}

// beside returns the processes that the driver keeps beside its solvers. Nomad's
// own log collectors (logmon) are the same for both and not counted.
func (s *site) beside(d driver) ([]proc.Process, error) {
	if d == ours {
		return s.client.Supervisors()
	}
	all, err := s.client.Processes()
	if err != nil {
		return nil, err
	}
	var executors []proc.Process
	for _, p := range all {
		if p.Exe == s.client.Config.Nomad && len(p.Args) > 1 && p.Args[1] == "executor" {
			executors = append(executors, p)
		}
	}
	return executors, nil
}

// besideMemory returns the private memory, in bytes, of each process beside n
// running tasks of the driver.
func (s *site) besideMemory(d driver, n int) ([]float64, error) {
	processes, err := s.beside(d)
	if err != nil {
		return nil, err
	}
	if len(processes) != n {
		return nil, fmt.Errorf("%d processes beside %d tasks of %s: %v", len(processes), n, d, processes)
	}
	return privateOf(processes)
}

// pluginMemory returns the private memory of our plugin's process, in bytes: there
// is one on a node, however many tasks run.
func (s *site) pluginMemory() (float64, error) {
	plugins, err := s.client.Plugins()
	if err != nil {
		return 0, err
	}
	if len(plugins) != 1 {
		return 0, fmt.Errorf("%d plugin processes: %v", len(plugins), plugins)
	}
	sizes, err := privateOf(plugins)
	if err != nil {
		return 0, err
	}
	return sizes[0], nil
}
