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
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/jobs"
)

// live is how many jobs the campaign keeps going.
const live = 4

// soon is when a job ends that is only to show that it runs.
const soon = 10 * time.Second

// late is when one ends that is to run until it is stopped.
const late = 3 * time.Minute

// A job is one task of one allocation and its run folder.
type job struct {
	name   string
	kind   jobs.Kind
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
	if i := slices.IndexFunc(jobs.Kinds, func(k jobs.Kind) bool { return k.Name == name }); i >= 0 {
		k = jobs.Kinds[i]
	}
	j = &job{name: fmt.Sprintf("%d-%s", c.started, k.Name), kind: k}
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
	return j, jobs.Job{
		Kind: k, Name: j.name, Node: c.client.NodeID(), Folder: j.folder, Site: c.state,
		Duration: duration, Cycle: 200 + rng.IntN(jobs.DeckCycles-400), Poll: j.poll(),
	}.HCL(), nil
}

func (c *campaign) pickKind(rng *rand.Rand) jobs.Kind {
	for {
		k := weighted(jobs.Kinds, func(k jobs.Kind) int { return k.Weight }, rng)
		// With every core reserved Nomad could place nothing else.
		second := k.Cores && slices.ContainsFunc(c.jobs, func(j *job) bool { return j.kind.Cores })
		if (!k.MPP || c.mpirun != "") && !second {
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

// poll is after how many cycles the solver looks for a switch.
func (j *job) poll() int {
	if j.lasting {
		return 5
	}
	return 100 // what LS-DYNA does by itself
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
