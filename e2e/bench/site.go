// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A driver is one of the two that are compared.
type driver string

const (
	ours    driver = cluster.DriverName
	rawExec driver = "raw_exec"
)

var drivers = []driver{ours, rawExec}

// stepTimeout bounds each thing that a benchmark waits for, such as 200 starts on a
// busy machine.
const stepTimeout = 10 * time.Minute

// nobody is who the solvers run as, under both drivers.
const nobody = 65534

// A site is a server, a client with both drivers, and the place for run folders
// and stamps.
type site struct {
	server, client *cluster.Agent
	solver         string // path
	runs           string // directory of run folders
	stamps         string // directory where solvers leave their stamps
	started        int    // tasks so far
}

// newSite starts the agents. Call close in any case.
func newSite(ctx context.Context, bin string) (s *site, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	s = &site{}
	nomad, err := cluster.NomadPath(bin)
	if err != nil {
		return s, err
	}
	if s.server, err = cluster.New(cluster.Config{Nomad: nomad, Role: cluster.ServerOnly}); err != nil {
		return s, err
	}
	if err := s.server.Start(ctx); err != nil {
		return s, err
	}
	s.client, err = cluster.New(cluster.Config{
		Nomad: nomad, Role: cluster.ClientOnly, Server: s.server, Plugin: filepath.Join(bin, cluster.PluginName),
		// The log's lines in JSON have microseconds, and its traces the moments
		// that are measured. The garbage collector stays out of the way.
		HCL: `
log_level = "TRACE"
log_json  = true
client {
  gc_max_allocs = 10000
}`,
	})
	if err != nil {
		return s, err
	}
	s.runs, s.stamps = s.client.Path("runs"), s.client.Path("stamps")
	if s.solver, err = s.client.InstallBinary(filepath.Join(bin, "bench-solver"), "bin/bench-solver"); err != nil {
		return s, err
	}
	for _, dir := range []string{s.runs, s.stamps} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return s, err
		}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return s, err
		}
	}
	s.client.Config.PluginConfig = fmt.Sprintf(`
    state_dir  = %q
    work_roots = [%q]
    solver "bench" {
      path = %q
    }`, s.client.StateDir(), s.runs, s.solver)
	if err := s.client.Start(ctx); err != nil {
		return s, err
	}
	return s, s.client.WaitDriverHealthy(ctx, cluster.DriverName)
}

// close ends the agents and everything they started, and removes their files and
// cgroups.
func (s *site) close() error {
	var errs []error
	for _, a := range []*cluster.Agent{s.client, s.server} {
		if a != nil {
			errs = append(errs, a.Discard())
		}
	}
	return errors.Join(errs...)
}

// job is a job of n tasks that differ in nothing but the driver. Two solvers in one
// run folder are refused by our driver, so each allocation has its own.
func (s *site) job(d driver, name string, n int) (string, error) {
	config := fmt.Sprintf("command = %q", s.solver)
	if d == ours {
		for i := range n {
			if err := s.runFolder(fmt.Sprintf("%s-%d", name, i)); err != nil {
				return "", err
			}
		}
		config = fmt.Sprintf(`
        solver        = "bench"
        input         = "main.k"
        work_dir      = "%s/%s-${NOMAD_ALLOC_INDEX}"
        ncpu          = 1
        memory        = "1m"
        start_timeout = "0s"`, s.runs, name)
	}
	return fmt.Sprintf(`
job %q {
  group "g" {
    count = %d
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    ephemeral_disk {
      size = 10
    }
    task "bench" {
      driver = %q
      user   = "nobody"
      config {
        %s
      }
      env {
        BENCH_STAMPS = %q
      }
      logs {
        max_files     = 1
        max_file_size = 1
      }
      resources {
        cpu    = 1
        memory = 10
      }
    }
  }
}`, name, n, d, config, s.stamps), nil
}

// runFolder makes a run folder with a deck that nobody reads.
func (s *site) runFolder(name string) error {
	dir := filepath.Join(s.runs, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "main.k"), []byte("*KEYWORD\n*END\n"), 0o644)
}

// run starts a job of n tasks and returns what the client's log says of it once
// all of them count as running.
func (s *site) run(ctx context.Context, d driver, name string, n int) ([]logLine, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	job, err := s.job(d, name, n)
	if err != nil {
		return nil, err
	}
	tail, err := followLog(s.client.LogPath())
	if err != nil {
		return nil, err
	}
	defer tail.close()
	if _, err := s.client.Submit(ctx, job, ""); err != nil {
		return nil, err
	}
	s.started += n
	return s.waitRunning(ctx, tail, name, n)
}

// waitRunning waits until n tasks count as running since the tail began, and
// returns the log since then.
func (s *site) waitRunning(ctx context.Context, tail *logTail, job string, n int) (lines []logLine, err error) {
	err = cluster.Poll(ctx, fmt.Sprintf("%d running tasks of job %s", n, job), func() (bool, string, error) {
		if lines, err = tail.read(); err != nil {
			return false, "", err
		}
		running := len(perAlloc(lines, poststartDone))
		return running >= n, fmt.Sprintf("%d", running), nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, s.failures(job))
	}
	return lines, nil
}

// failures says what went wrong with the job's allocations.
func (s *site) failures(job string) string {
	allocs, _, err := s.client.API.Jobs().Allocations(job, true, nil)
	if err != nil {
		return err.Error()
	}
	for _, stub := range allocs {
		if stub.ClientStatus != "running" && stub.ClientStatus != "pending" {
			alloc, _, err := s.client.API.Allocations().Info(stub.ID, nil)
			if err != nil {
				return err.Error()
			}
			return cluster.DescribeAlloc(alloc)
		}
	}
	return fmt.Sprintf("%d allocations, none failed", len(allocs))
}
