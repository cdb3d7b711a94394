// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// barrier is the first folder on the way to another that this thread's user may not pass.
type barrier struct {
	path string
	mode uint32
	uid  uint32
}

// findBarrier looks for it. The folder itself is none, and nothing found here is acted on:
// it is for words only.
func findBarrier(folder string) (barrier, bool) {
	at := "/"
	for name := range strings.SplitSeq(strings.Trim(filepath.Clean(folder), "/"), "/") {
		var info unix.Stat_t
		// To look at "dir/." takes the right to pass dir, by its mode or by a list.
		if err := unix.Stat(at+"/.", &info); errors.Is(err, unix.EACCES) {
			if unix.Stat(at, &info) != nil {
				return barrier{}, false
			}
			return barrier{at, info.Mode & 0o7777, info.Uid}, true
		}
		at = filepath.Join(at, name)
	}
	return barrier{}, false
}

// refuse says that a user cannot come to a run folder because of what is above it. base is
// the trusted part of the path: a task directory, or a work root.
func (b barrier) refuse(base, folder string, user supervisor.User, err error) error {
	what, advice := "", fmt.Sprintf("chmod a+x %s, or set user in the job's task to one that may", b.path)
	data, alloc := agentFolders(base)
	switch {
	case b.path == data:
		what, advice = " (the client's data_dir)", fmt.Sprintf("chmod %04o %s, which lets users pass and not look", b.mode&0o777|0o111, b.path)
	case b.path == alloc:
		what, advice = " (where the client has its allocations)", fmt.Sprintf("chmod %04o %s, which lets users pass and not look", b.mode&0o777|0o111, b.path)
	case data != "" && strings.HasPrefix(data, strings.TrimSuffix(b.path, "/")+"/"):
		what, advice = " (above the client's data_dir)", fmt.Sprintf("chmod %04o %s, which lets users pass and not look, or have data_dir elsewhere", b.mode&0o777|0o111, b.path)
	}
	return fmt.Errorf("run folder %s: user %s may not enter or read it (%w): %s%s on the way is closed to that user (mode %04o, uid %d): %s",
		folder, user, err, b.path, what, b.mode, b.uid, advice)
}

// agentFolders returns the client's data_dir and its folder of allocations for a task
// directory, data_dir/alloc/ALLOC/TASK; "" for any other.
func agentFolders(base string) (data, alloc string) {
	const uuid = 36 // characters of an allocation's id
	if len(filepath.Base(filepath.Dir(base))) != uuid {
		return "", ""
	}
	alloc = filepath.Dir(filepath.Dir(base))
	if filepath.Base(alloc) != "alloc" {
		return "", alloc // the client's alloc_dir
	}
	return filepath.Dir(alloc), alloc
}
