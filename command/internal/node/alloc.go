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

// AllocGone reports whether Nomad has collected an allocation: its folder is gone
// from the folder of all allocations. Where that one is gone too, a disk may just
// not be mounted.
func AllocGone(d state.Details) (gone bool, why string) {
	if d.AllocDir == "" {
		return false, "the folder of its allocation is not known"
	}
	_, err := os.Lstat(d.AllocDir)
	switch {
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
