// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package runfolder is a run folder as the driver uses it for a task: it is opened and
// watched with the rights of the task's user, it tells other nodes whose it is, and it
// may lie where Nomad deletes it. What is in it is lsdyna/rundir's.
package runfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// WatchOptions say how a run folder is watched that a user's task runs in.
func WatchOptions(base, rel string, u supervisor.User, logger hclog.Logger, follow *rundir.FollowOptions) watch.Options {
	return watch.Options{
		Open:   func() (*rundir.Folder, error) { return Open(base, rel, u) },
		Follow: follow,
		As:     u.Do,
		Report: func(err error) {
			logger.Debug("cannot read the run folder", "folder", filepath.Join(base, rel), "error", err)
		},
	}
}

// Open opens a run folder that the user may enter, read and write to. The
// caller has that user's rights: root may have fewer where a file server does not
// trust it, and everywhere else too many.
func Open(base, rel string, u supervisor.User) (*rundir.Folder, error) {
	const advice = "give the folder to that user, or set user in the job's task to its owner"
	folder, err := rundir.Open(base, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: make it on this node, for user %s to write to, with the deck in it; or is it on a file system that is not mounted?", err, u)
	case errors.Is(err, fs.ErrPermission):
		if b, found := findBarrier(filepath.Join(base, rel)); found {
			return nil, b.refuse(base, filepath.Join(base, rel), u, err)
		}
		return nil, fmt.Errorf("run folder %s: user %s may not enter or read it (%w): %s", filepath.Join(base, rel), u, err, advice)
	case err != nil:
		return nil, err
	}
	if err := mayUse(folder); err != nil {
		_ = folder.Close()
		if errors.Is(err, errExchanged) || errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("run folder %s: it was removed or exchanged just now: %w", folder.Path(), err)
		}
		return nil, fmt.Errorf("run folder %s: user %s may not write there (%w): %s", folder.Path(), u, err, advice)
	}
	return folder, nil
}

var errExchanged = errors.New("its path leads to another folder now")

// mayUse checks that the calling thread gets to the folder by its path, as the
// solver will, and may write to it.
func mayUse(folder *rundir.Folder) error {
	dir, err := folder.Dir()
	if err != nil {
		return err
	}
	defer dir.Close()
	var opened, named unix.Stat_t
	if err := errors.Join(unix.Fstat(int(dir.Fd()), &opened), unix.Stat(folder.Path(), &named)); err != nil {
		return err
	}
	if opened.Dev != named.Dev || opened.Ino != named.Ino {
		return errExchanged
	}
	return mayWrite(int(dir.Fd()))
}
