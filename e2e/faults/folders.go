// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// What a run leaves in its folder, so that others know that it is there.
const (
	lockFile  = ".lsdyna-run.lock"
	ownerFile = ".lsdyna-owner.json"
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
		return "", os.Remove(filepath.Join(j.disk, lockFile))
	}),
	askedFor("owner record spoilt", 3, func(_ context.Context, _ *campaign, j *job, rng *rand.Rand) (string, error) {
		return spoilOwner(j, rng)
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

// spoilOwner does to the record of who has the folder what a user may do to it.
func spoilOwner(j *job, rng *rand.Rand) (string, error) {
	path := filepath.Join(j.disk, ownerFile)
	switch rng.IntN(4) {
	case 0:
		return "removed", os.Remove(path)
	case 1:
		return "truncated", os.Truncate(path, int64(rng.IntN(40)))
	case 2:
		return "garbled", os.WriteFile(path, []byte("{\"version\":1,\"run\":7"), 0o644)
	}
	return noFiles[0].name, errors.Join(os.Remove(path), noFiles[0].put(path))
}

// A noFile is something that may be where a file is looked for.
type noFile struct {
	name string
	make func(path string) error
}

var noFiles = []noFile{
	{"FIFO", func(path string) error { return unix.Mkfifo(path, 0o666) }},
	{"folder", func(path string) error { return os.Mkdir(path, 0o755) }},
	{"link to a file of root", func(path string) error { return os.Symlink("/etc/hostname", path) }},
	{"link to an output", func(path string) error { return os.Symlink("stdout", path) }},
}

// put makes it as the tasks' user could.
func (n noFile) put(path string) error {
	const nobody = 65534
	return errors.Join(n.make(path), os.Lchown(path, nobody, nobody))
}

// lockReplaced puts something else in the lock's place. Nobody runs there before it is
// removed.
func lockReplaced(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
	other := noFiles[rng.IntN(len(noFiles))]
	j, err := c.owner(ctx, "ok")
	if err != nil {
		return "", err
	}
	path := filepath.Join(j.disk, lockFile)
	if err := errors.Join(os.Remove(path), other.put(path)); err != nil {
		return j.name, err
	}
	a, err := c.ask(ctx, j, j.folder)
	if err != nil {
		return j.name, err
	}
	what := j.name + " with a " + other.name
	if err := c.hears(ctx, a, lockFile); err != nil {
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
	lock, err := c.lock(ctx, filepath.Join(j.folder, lockFile))
	if err != nil {
		return j.name, err
	}
	a, err := c.ask(ctx, j, j.folder)
	if err == nil {
		err = c.hears(ctx, a, "Waiting for the run folder", lockFile)
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
	if err := errors.Join(c.stop(j), c.gone(ctx, j), ofADeadNode(filepath.Join(j.disk, ownerFile))); err != nil {
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

// ofADeadNode makes the record that of a run on a machine that nobody knows.
func ofADeadNode(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	record := map[string]any{}
	if err := json.Unmarshal(data, &record); err != nil {
		return err
	}
	delete(record, "ended")
	record["run"] = "00000000-0000-4000-8000-000000000000/lsdyna/00000000"
	record["node"] = map[string]any{
		"id": "6d0f1b3e-0000-4000-8000-0123456789ab", "name": "far-away", "host": "far-away", "boot": "6d0f1b3e-0000-4000-8000-0123456789ab",
	}
	if data, err = json.Marshal(record); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
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
