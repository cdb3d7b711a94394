// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// OpenFolder opens a run folder that the user may enter and write to. The
// folder itself is opened by the plugin, which goes on reading it.
func OpenFolder(base, rel string, u supervisor.User) (*rundir.Folder, error) {
	folder, err := rundir.Open(base, rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: make it on this node, for user %s to write to", err, u)
	}
	if err != nil {
		return nil, err
	}
	if err := u.Do(func() error { return mayUse(folder) }); err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("run folder %s: user %s may not write there (%w): give the folder to that user, or set user in the job's task to its owner", folder.Path(), u, err)
	}
	return folder, nil
}

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
		return errors.New("its path leads to another folder now")
	}
	return unix.Faccessat(int(dir.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
