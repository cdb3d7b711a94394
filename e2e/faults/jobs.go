// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// live is how many jobs the campaign keeps going.
const live = 4

// soon is when a job ends that is only to show that it runs.
const soon = 10 * time.Second

// late is when one ends that is to run until it is stopped.
const late = 3 * time.Minute

// deckCycles is how many cycles the deck takes; with a pace it is the run's time.
const deckCycles = 1172

// A kind of job. How its solver ends by itself is known from the stand-in's
// failure; the kernel tells what really came.
type kind struct {
	name   string
	weight int
	fault  string // STANDIN_FAULT; CYCLE is one before the end
	ncpu   int
	config string // of the task
	task   string // beside the task's config
	cores  bool   // reserved by Nomad
	again  bool   // Nomad restarts it
	mpp    bool
	// Nomad starts it again also when it has completed.
	service bool
}

var kinds = []kind{
	{name: "ok", weight: 6, ncpu: 1},
	{name: "pair", weight: 2, ncpu: 2},
	{name: "exit23", weight: 2, ncpu: 1, fault: "vanish=CYCLE,exit_code=23"},
	{name: "error", weight: 2, ncpu: 1, fault: "error=CYCLE,exit_code=0"},
	{name: "abort", weight: 1, ncpu: 1, fault: "abort=CYCLE"},
	{name: "segv", weight: 1, ncpu: 1, fault: "segv=CYCLE"},
	{name: "vanish", weight: 1, ncpu: 1, fault: "vanish=CYCLE"},
	{name: "child", weight: 2, ncpu: 1, fault: "child=3600"},
	{name: "deaf", weight: 1, ncpu: 1, fault: "ignore_sigterm,ignore_d3kil", task: `kill_timeout = "2s"`},
	{name: "switchless", weight: 2, ncpu: 1, config: `stop = ""`, task: `kill_timeout = "5s"`},
	{name: "again", weight: 4, ncpu: 1, fault: "vanish=CYCLE,exit_code=7", again: true},
	{name: "flood", weight: 1, ncpu: 1, fault: "warnings=100000"},
	{name: "reserved", weight: 2, cores: true},
	{name: "mpp", weight: 2, ncpu: 2, mpp: true},
	{name: "service", weight: 3, ncpu: 1, service: true},
	{name: "goes-on", ncpu: 1, again: true}, // only where a fault wants one
}

// A job is one task of one allocation and its run folder.
type job struct {
	name   string
	kind   kind
	folder string
	disk   string // the same folder, where looking never hangs
	served bool   // it is on the file server
	// It takes minutes unless it is stopped, which then is quick.
	lasting bool
	alloc   string // once it is placed
	over    bool
}

// topUp starts jobs until there are enough. What the n-th one is, is the seed's
// doing, not the moment's.
func (c *campaign) topUp(ctx context.Context) (fresh []*job, err error) {
	for len(c.jobs) < live {
		j, err := c.start(ctx)
		if err != nil {
			return fresh, err
		}
		fresh = append(fresh, j)
	}
	return fresh, nil
}

// start submits the next job and returns when it is placed.
func (c *campaign) start(ctx context.Context) (*job, error) {
	return c.startKind(ctx, c.options.jobs, bySeed)
}

// A place is where a job's folder is.
type place int

// The places. A job that is started while the file server hangs ends soon. One whose
// folder another one is to ask for does not end by itself in that time.
const (
	bySeed place = iota
	onServer
	besideServer
	lasting
)

// startKind is start for a job of a certain kind, "" for one by the seed.
func (c *campaign) startKind(ctx context.Context, name string, where place) (*job, error) {
	j, hcl, err := c.prepare(name, where)
	if err != nil {
		return nil, err
	}
	return j, c.submit(ctx, j, hcl)
}

// submit returns when Nomad has placed the job.
func (c *campaign) submit(ctx context.Context, j *job, hcl string) error {
	return c.timed(ctx, func(ctx context.Context) (err error) {
		j.alloc, err = c.client.Run(ctx, hcl)
		return err
	})
}

// prepare makes a job and its folder.
func (c *campaign) prepare(name string, where place) (j *job, hcl string, err error) {
	c.started++
	rng := rand.New(rand.NewPCG(c.seed, 1<<32+uint64(c.started)))
	k := c.pickKind(rng)
	if i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name }); i >= 0 {
		k = kinds[i]
	}
	j = &job{name: fmt.Sprintf("%d-%s", c.started, k.name), kind: k}
	// From two seconds to a minute and a half.
	duration := time.Duration(2000+rng.IntN(30)*rng.IntN(30)*100) * time.Millisecond
	j.folder = filepath.Join(c.scratch, j.name)
	j.disk = j.folder
	if where == lasting {
		j.lasting, duration = true, late
	}
	switch half := rng.IntN(2) == 0; {
	case where == besideServer:
		duration = soon
	case c.served != nil && (half || where == onServer):
		j.served, j.folder, j.disk = true, filepath.Join(c.served.Path, j.name), filepath.Join(c.served.Backing, j.name)
	}
	if err := c.makeFolder(j.disk); err != nil {
		return nil, "", err
	}
	c.folders[j.name] = j.disk
	c.jobs = append(c.jobs, j)
	return j, c.hcl(j, duration, 200+rng.IntN(deckCycles-400)), nil
}

func (c *campaign) pickKind(rng *rand.Rand) kind {
	for {
		k := weighted(kinds, func(k kind) int { return k.weight }, rng)
		// With every core reserved Nomad could place nothing else.
		second := k.cores && slices.ContainsFunc(c.jobs, func(j *job) bool { return j.kind.cores })
		if (!k.mpp || c.mpirun != "") && !second {
			return k
		}
	}
}

func (c *campaign) makeFolder(folder string) error {
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(c.decks, "solid_bar_impact"))); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	const nobody = 65534 // who tasks run as
	if err := os.Chown(folder, nobody, nobody); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return nil
}

// jobTemplate is a job of one task on the first client.
const jobTemplate = `
job %q {
  type = %q
  group "g" {
    restart {
      %s
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    ephemeral_disk {
      size = 10
    }
    constraint {
      attribute = "${node.unique.id}"
      value     = %q
    }
    task "lsdyna" {
      driver = "lsdyna"
      config {
        solver   = %q
        work_dir = %q
        input    = "main.k"
        %s
      }
      env {
        STANDIN_PACE  = %q
        STANDIN_POLL  = "%d"
        STANDIN_FAULT = %q
        FAULTS_SITE   = %q
      }
      %s
      logs {
        max_files     = 1
        max_file_size = 1
      }
      resources {
        %s
        memory = 100
      }
    }
  }
}`

// poll is after how many cycles the solver looks for a switch.
func (j *job) poll() int {
	if j.lasting {
		return 5
	}
	return 100 // what LS-DYNA does by itself
}

func (c *campaign) hcl(j *job, duration time.Duration, cycle int) string {
	k := j.kind
	solver, resources, restart, fault := "standin", "cpu = 50", "attempts = 0\n      mode = \"fail\"", k.fault
	config := fmt.Sprintf("ncpu = %d\n        memory = \"20m\"\n        %s", k.ncpu, k.config)
	if k.cores {
		resources, config = "cores = 1", `memory = "20m"`
	}
	if k.mpp {
		solver = "mpp"
	}
	kindOfJob := "batch"
	if k.service {
		kindOfJob, restart = "service", "attempts = 2\n      interval = \"24h\"\n      delay = \"1s\"\n      mode = \"fail\""
	}
	if k.again {
		restart = "attempts = 1000\n      interval = \"24h\"\n      delay = \"1s\"\n      mode = \"fail\""
		duration += 10 * time.Second
	}
	task := k.task
	if task == "" {
		task = `kill_timeout = "20s"`
	}
	fault = strings.ReplaceAll(fault, "CYCLE", fmt.Sprint(cycle))
	return fmt.Sprintf(jobTemplate, j.name, kindOfJob, restart, c.client.NodeID(), solver, j.folder, config, duration/deckCycles, j.poll(), fault, c.state, task, resources)
}

// stop asks Nomad to stop the job, and does not wait.
func (c *campaign) stop(j *job) error {
	c.stopped[j.alloc] = true
	_, _, err := c.server.API.Jobs().Deregister(j.name, false, nil)
	if err != nil {
		return fmt.Errorf("stop job %s: %w", j.name, err)
	}
	return nil
}
