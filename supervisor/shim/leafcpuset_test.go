// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

func TestLeafError_saysWhatToDoAboutCoresThatNomadTook(t *testing.T) {
	for name, c := range map[string]struct {
		mode CgroupMode
		file string
		err  error
		says bool
	}{
		"cores that the cpuset above lacks": {CgroupV1, "cpuset.cpus", &fs.PathError{Op: "write", Path: "/x", Err: syscall.EACCES}, true},
		"another error":                     {CgroupV1, "cpuset.cpus", syscall.EBUSY, false},
		"cgroups v2":                        {CgroupV2, "cpuset.cpus", syscall.EACCES, false},
		"memory nodes":                      {CgroupV1, "cpuset.mems", syscall.EACCES, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := leafError(c.mode, cgroupFile{dir: "/leaf", file: c.file, value: "0-1"}, c.err)
			must.ErrorIs(t, err, c.err)
			must.StrContains(t, err.Error(), "of cgroup /leaf to 0-1")
			if c.says {
				must.StrContains(t, err.Error(), "nomad job stop")
			} else {
				must.StrNotContains(t, err.Error(), "nomad job stop")
			}
		})
	}
}
