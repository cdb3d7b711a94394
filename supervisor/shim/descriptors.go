// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// The number of close_range is the same on every architecture; Linux 5.9 has it,
// and its flag since 5.11.
const (
	sysCloseRange     = 436
	closeRangeCloexec = 1 << 2
)

// firstOther is the first descriptor behind the standard streams.
const firstOther = 3

// keepDescriptors lets no descriptor but the standard streams pass through the
// exec. Ours are close-on-exec; this is for what whoever started the agent left
// open. Whatever an older kernel or a seccomp profile answers to close_range, the
// descriptors are then looked for one by one.
func keepDescriptors() error {
	_, _, errno := syscall.RawSyscall6(sysCloseRange, firstOther, uintptr(^uint32(0)), closeRangeCloexec, 0, 0, 0)
	if errno == 0 || keepListed(procfs.Root+"/self/fd") == nil {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	return keepBelow(limit.Max)
}

// keepListed keeps the descriptors that a folder of /proc lists.
func keepListed(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd >= firstOther {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// mostDescriptors is how many a process can have where nobody has raised it
// (fs.nr_open). So many can be tried in a tenth of a second.
const mostDescriptors = 1 << 20

// keepBelow keeps every descriptor below the limit, and fails where there may be more
// than can be tried.
func keepBelow(limit uint64) error {
	if limit > mostDescriptors {
		return fmt.Errorf("keep descriptors from the task: they cannot be listed without /proc, and there may be %d", limit)
	}
	for fd := firstOther; fd < int(limit); fd++ {
		syscall.CloseOnExec(fd)
	}
	return nil
}
