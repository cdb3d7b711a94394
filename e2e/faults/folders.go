// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/tamper"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A second client has a job that asks for the folder of a run: it waits, tells for
// whom, and runs when that one is over, whatever happens meanwhile.
var folderFaults = []fault{
	askedFor("folder in use", 3, func(context.Context, *campaign, *job, *rand.Rand) (string, error) { return "", nil }),
	askedFor("folder in use, kill plugin", 3, func(ctx context.Context, c *campaign, _ *job, _ *rand.Rand) (string, error) {
		_, err := c.killPlugin(ctx)
		return "plugin killed", errors.Join(err, c.recovered(ctx))
	}),
	askedFor("folder in use, kill supervisor", 4, func(_ context.Context, c *campaign, j *job, _ *rand.Rand) (string, error) {
		return "supervisor killed", c.killSupervisor(j)
	}),
	askedFor("folder in use, kill both", 3, func(ctx context.Context, c *campaign, _ *job, _ *rand.Rand) (string, error) {
		return "agent and plugin killed", c.downed(ctx, c.killBoth, nil)
	}),
	askedFor("folder in use, kill all but solver", 4, func(ctx context.Context, c *campaign, j *job, _ *rand.Rand) (string, error) {
		return "agent, plugin and supervisor killed", c.downed(ctx, c.killBoth, func() error { return c.killSupervisor(j) })
	}),
	askedFor("folder in use, kill asker", 3, func(_ context.Context, c *campaign, _ *job, _ *rand.Rand) (string, error) {
		_, err := c.second.client.KillPlugin()
		return "the plugin that waits killed", err
	}),
	askedFor("lock file removed", 3, func(_ context.Context, _ *campaign, j *job, _ *rand.Rand) (string, error) {
		return "", os.Remove(filepath.Join(j.disk, tamper.Lock))
	}),
	askedFor("owner record spoilt", 3, func(_ context.Context, _ *campaign, j *job, rng *rand.Rand) (string, error) {
		return tamper.SpoilOwner(j.disk, rng)
	}),
	{name: "lock file replaced", weight: 3, inject: lockReplaced},
	{name: "lock held by a stranger", weight: 3, inject: lockHeld},
	{name: "folder of a dead node", weight: 3, inject: deadNode},
	{name: "two ask at once", weight: 3, inject: twoAtOnce},
}

// askedFor is a fault that happens while another job waits for a run's folder.
func askedFor(name string, weight int, meanwhile func(context.Context, *campaign, *job, *rand.Rand) (string, error)) fault {
	return fault{name: name, weight: weight, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		kind, alias := []string{"ok", "pair", "child", "switchless"}[rng.IntN(4)], rng.IntN(2) == 0
		j, err := c.owner(ctx, kind)
		if err != nil {
			return "", err
		}
		a, err := c.ask(ctx, j, c.pathOf(j, alias))
		if err != nil {
			return j.name, err
		}
		if err := c.waitsFor(ctx, a, j); err != nil {
			return j.name, err
		}
		what, err := meanwhile(ctx, c, j, rng)
		what = fmt.Sprintf("%s as %s, %s", j.name, a.folder, what)
		return what, errors.Join(err, c.handsOver(ctx, j, a))
	}}
}

// handsOver stops a job: the run that asks for its folder runs then.
func (c *campaign) handsOver(ctx context.Context, j *job, a *asker) error {
	if err := c.stop(j); err != nil {
		return err
	}
	return c.completes(ctx, a)
}

// killSupervisor kills the supervisor of the job's run.
func (c *campaign) killSupervisor(j *job) error {
	all, err := c.victims(check.Supervisor)
	for _, p := range all {
		if p.Alloc == j.alloc {
			err = errors.Join(err, cluster.Signal(proc.Process{PID: p.PID, StartTicks: p.Start}, syscall.SIGKILL))
		}
	}
	return err
}

// lockReplaced puts something else in the lock's place. Nobody runs there before it is
// removed.
func lockReplaced(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	other := tamper.NoFiles[rng.IntN(len(tamper.NoFiles))]
	j, err := c.owner(ctx, "ok")
	if err != nil {
		return "", err
	}
	path := filepath.Join(j.disk, tamper.Lock)
	if err := errors.Join(os.Remove(path), other.Put(path)); err != nil {
		return j.name, err
	}
	a, err := c.ask(ctx, j, j.folder)
	if err != nil {
		return j.name, err
	}
	what := j.name + " with a " + other.Name
	if err := c.hears(ctx, a, tamper.Lock); err != nil {
		return what, err
	}
	_, _, err = c.server.API.Jobs().Deregister(a.name, true, nil) // which was refused for good
	if err := errors.Join(err, c.stop(j), c.gone(ctx, j), os.Remove(path)); err != nil {
		return what, err
	}
	if a, err = c.ask(ctx, j, j.folder); err != nil {
		return what, err
	}
	return what, c.completes(ctx, a)
}

// lockHeld has somebody who is no run hold the lock of a free folder.
func lockHeld(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, err := c.owner(ctx, "ok")
	if err != nil {
		return "", err
	}
	if err := errors.Join(c.stop(j), c.gone(ctx, j)); err != nil {
		return j.name, err
	}
	lock, err := c.lock(ctx, filepath.Join(j.folder, tamper.Lock))
	if err != nil {
		return j.name, err
	}
	a, err := c.ask(ctx, j, j.folder)
	if err == nil {
		err = c.hears(ctx, a, "Waiting for the run folder", tamper.Lock)
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return j.name, err
	}
	return j.name, c.completes(ctx, a)
}

// lock takes a lock as soon as the run that had it has let go.
func (c *campaign) lock(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the lock "+path, func() (bool, string, error) {
			err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			return err == nil, fmt.Sprint(err), nil
		})
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// deadNode leaves a free folder as the run of a node would that was switched off.
// Nobody takes it before the operator says so.
func deadNode(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, err := c.owner(ctx, "ok")
	if err != nil {
		return "", err
	}
	if err := errors.Join(c.stop(j), c.gone(ctx, j), tamper.OfADeadNode(filepath.Join(j.disk, tamper.Owner))); err != nil {
		return j.name, err
	}
	a, err := c.ask(ctx, j, j.folder)
	if err != nil {
		return j.name, err
	}
	if err := c.hears(ctx, a, "far-away", "release-folder"); err != nil {
		return j.name, err
	}
	err = c.timed(ctx, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, c.client.PluginPath(), "release-folder", j.folder).CombinedOutput()
		if err != nil {
			return fmt.Errorf("release-folder: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		return j.name, err
	}
	return j.name, c.completes(ctx, a)
}

// twoAtOnce has two clients start a run in one folder at the same moment: they run one
// after the other.
func twoAtOnce(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, hcl, err := c.prepare("ok", lasting)
	if err != nil {
		return "", err
	}
	asked := make(chan error, 1)
	var a *asker
	go func() {
		var err error
		a, err = c.ask(ctx, j, j.folder)
		asked <- err
	}()
	if err := errors.Join(c.submit(ctx, j, hcl), <-asked); err != nil {
		return j.name, err
	}
	running, err := c.decided(ctx, j)
	if err != nil {
		return j.name, err
	}
	if !running {
		return j.name, c.notStarted(ctx, j)
	}
	return j.name, c.handsOver(ctx, j, a)
}
