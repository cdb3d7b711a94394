// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/jobs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A secondClient is another client of the same server, which has the same run folders
// and a plugin of its own. Nothing is there but a job that asks for another's folder.
type secondClient struct {
	client  *cluster.Agent // nil before there is one
	state   string         // its plugin's
	solver  string
	alias   string // another path of the run folders
	mounted bool
}

// mountAlias gives the run folders their other path, before there are clients with
// their own views of mounts.
func (s *secondClient) mountAlias(folders string) error {
	if err := unix.Mount(folders, s.alias, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", folders, s.alias, err)
	}
	s.mounted = true
	return nil
}

func (s *secondClient) unmountAlias() error {
	if !s.mounted {
		return nil
	}
	s.mounted = false
	return unix.Unmount(s.alias, unix.MNT_DETACH)
}

func (c *campaign) startSecond(ctx context.Context) (err error) {
	s := c.second
	cfg := c.client.Config
	cfg.PluginConfig = ""
	if s.client, err = cluster.New(cfg); err != nil {
		return err
	}
	if s.solver, err = s.client.InstallBinary(filepath.Join(c.bin, "lsdyna-standin"), "bin/standin_smp_d_R14"); err != nil {
		return err
	}
	roots := []string{s.alias, c.scratch}
	if c.served != nil {
		roots = append(roots, c.served.Path)
	}
	s.client.Config.PluginConfig = fmt.Sprintf(`
    state_dir  = %q
    work_roots = ["%s"]
    solver "standin" {
      path = %q
    }`, s.state, strings.Join(roots, `", "`), s.solver)
	if err := s.client.Start(ctx); err != nil {
		return err
	}
	return s.client.WaitDriverHealthy(ctx, cluster.DriverName)
}

// An asker is a job on the second client that asks for the folder of another one.
type asker struct {
	name, folder string
	alloc        string
}

// ask has the second client start a short run in the job's folder.
func (c *campaign) ask(ctx context.Context, j *job, folder string) (*asker, error) {
	a := &asker{name: j.name + "-asks", folder: folder}
	c.observer.Shares(j.name)
	return a, c.timed(ctx, func(ctx context.Context) (err error) {
		a.alloc, err = c.server.Run(ctx, jobs.Asker(a.name, c.second.client.NodeID(), a.folder))
		return err
	})
}

// hears waits until an event of the asking task has all the texts. The rules must
// hold meanwhile.
func (c *campaign) hears(ctx context.Context, a *asker, texts ...string) error {
	return c.asking(ctx, a, fmt.Sprintf("events of %s with %q", a.name, texts), func(alloc *api.Allocation) (bool, string) {
		events := cluster.Events(alloc, "lsdyna")
		return slices.ContainsFunc(events, func(e string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(e, text) })
		}), cluster.DescribeAlloc(alloc)
	})
}

// waitsFor waits until the asking task has told that it waits for the job's.
func (c *campaign) waitsFor(ctx context.Context, a *asker, j *job) error {
	return c.hears(ctx, a, "Waiting for the run folder", "job "+j.name+" ", "(allocation "+j.alloc[:8]+")")
}

// completes waits until the asking run has come to its end, and takes its job away.
func (c *campaign) completes(ctx context.Context, a *asker) error {
	err := c.asking(ctx, a, "the end of "+a.name, func(alloc *api.Allocation) (bool, string) {
		return alloc.ClientStatus == api.AllocClientStatusComplete, cluster.DescribeAlloc(alloc)
	})
	if err != nil {
		return err
	}
	if _, _, err := c.server.API.Jobs().Deregister(a.name, true, nil); err != nil {
		return err
	}
	return c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the end of the second client's last process", func() (bool, string, error) {
			left, err := proc.Select(func(p proc.Process) bool {
				return p.Exe == c.second.solver || c.second.client.IsSupervisor(p)
			})
			return len(left) == 0, fmt.Sprint(left), err
		})
	})
}

// asking waits for something to be true of the asking task.
func (c *campaign) asking(ctx context.Context, a *asker, what string, holds cluster.Condition) error {
	return c.awaits(ctx, a.alloc, check.OneInFolder, what, holds)
}

// owner starts the job whose folder another one is to ask for.
func (c *campaign) owner(ctx context.Context, kind string) (*job, error) {
	return c.running(ctx, kind, lasting)
}

// running starts a job. One that Nomad cannot start, by a fault of its own, is none:
// then another one is started. Where it can start none the campaign helps, once.
func (c *campaign) running(ctx context.Context, kind string, where place) (*job, error) {
	j, err := c.tryRunning(ctx, kind, where)
	if j != nil || err != nil {
		return j, err
	}
	if err := c.unblock(ctx); err != nil {
		return nil, err
	}
	if j, err = c.tryRunning(ctx, kind, where); j == nil && err == nil {
		err = errBlocked
	}
	return j, err
}

// tryRunning returns no job where Nomad could start none.
func (c *campaign) tryRunning(ctx context.Context, kind string, where place) (*job, error) {
	const tries = 5
	for range tries {
		j, err := c.startKind(ctx, kind, where)
		if err != nil {
			return nil, err
		}
		if running, err := c.decided(ctx, j); running || err != nil {
			return j, err
		}
		if err := c.notStarted(ctx, j); err != nil {
			return j, err
		}
	}
	return nil, nil //nolint:nilnil // that is no error yet
}

// pathOf is a path of the job's folder, by chance another than its own.
func (c *campaign) pathOf(j *job, alias bool) string {
	if alias && !j.served {
		return filepath.Join(c.second.alias, j.name)
	}
	return j.folder
}
