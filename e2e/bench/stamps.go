// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A stamp is what a solver wrote as its first act.
type stamp struct {
	born time.Time
	pid  int
}

// parseStamps reads a stamp file: one line for every solver of the allocation.
func parseStamps(raw string) ([]stamp, error) {
	var stamps []stamp
	for line := range strings.Lines(raw) {
		ns, pid, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		born, err := strconv.ParseInt(ns, 10, 64)
		if !ok || err != nil || born <= 0 {
			return nil, fmt.Errorf("stamp %q is not a time and a pid", line)
		}
		id, err := strconv.Atoi(pid)
		if err != nil || id <= 0 {
			return nil, fmt.Errorf("stamp %q is not a time and a pid", line)
		}
		stamps = append(stamps, stamp{time.Unix(0, born), id})
	}
	return stamps, nil
}

// readStamps returns the one solver of each allocation in the directory. Two
// solvers of one allocation are an error: one was lost and started anew.
func readStamps(dir string) (map[string]stamp, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("stamps: %w", err)
	}
	all := map[string]stamp{}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("stamps: %w", err)
		}
		stamps, err := parseStamps(string(raw))
		if err != nil {
			return nil, fmt.Errorf("allocation %s: %w", f.Name(), err)
		}
		if len(stamps) > 1 {
			return nil, fmt.Errorf("allocation %s had %d solvers: the task was lost and started anew", f.Name(), len(stamps))
		}
		if len(stamps) == 1 {
			all[f.Name()] = stamps[0]
		}
	}
	return all, nil
}

// waitStamps waits until n solvers have left their stamps in all: a driver may say
// that a task runs before the solver has got so far.
func (s *site) waitStamps(ctx context.Context, n int) (stamps map[string]stamp, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	err = cluster.Poll(ctx, fmt.Sprintf("the stamps of %d solvers", n), func() (bool, string, error) {
		stamps, err = readStamps(s.stamps)
		return len(stamps) >= n, fmt.Sprintf("%d", len(stamps)), err
	})
	return stamps, err
}
