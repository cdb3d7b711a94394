// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Forgotten reports whether Nomad does not know a run any more: the plugin that lives
// was never asked for it, or its allocation is gone.
func Forgotten(r *state.Record, d state.Details) (is bool, why string) {
	if since, unclaimed := r.IsUnclaimed(); unclaimed {
		return true, fmt.Sprintf("Nomad has not asked the plugin for it since %s", since.Format("2006-01-02 15:04:05 UTC"))
	}
	return AllocGone(d)
}

// AllocGone reports whether Nomad has collected an allocation: its folder is gone
// from the folder of all allocations, or somebody removed all of it but the mount points
// that Nomad made there. Where the folder of all allocations is gone too, a disk may just
// not be mounted.
func AllocGone(d state.Details) (gone bool, why string) {
	if d.AllocDir == "" {
		return false, "the folder of its allocation is not known"
	}
	_, err := os.Lstat(d.AllocDir)
	switch {
	case err == nil && hasMountPointsOnly(d.AllocDir):
		return true, "of its allocation's folder only mount points are left"
	case err == nil:
		return false, "its allocation is still on this node"
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Sprintf("the folder of its allocation cannot be looked at: %v", err)
	}
	if info, err := os.Stat(filepath.Dir(d.AllocDir)); err != nil || !info.IsDir() {
		return false, fmt.Sprintf("there is no folder of allocations %s: is Nomad's data_dir mounted?", filepath.Dir(d.AllocDir))
	}
	return true, "its allocation is gone from this node"
}

// hasMountPointsOnly reports whether a folder holds mount points, the folders that lead
// to them, and nothing else: rm -rf leaves that. What is mounted is not looked at.
func hasMountPointsOnly(dir string) bool {
	at, err := filepath.EvalSymlinks(dir) //nolint:forbidigo // Nomad's folder, which is root's, and only listed
	if err != nil {
		return false
	}
	mounts, err := mountPoints()
	return err == nil && leadsToMounts(at, mounts)
}

func leadsToMounts(dir string, mounts map[string]bool) bool {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return false
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || !mounts[path] && !leadsToMounts(path, mounts) {
			return false
		}
	}
	return true
}
