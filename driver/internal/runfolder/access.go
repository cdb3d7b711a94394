// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mayWrite reports whether the calling thread may make files in an open folder. The
// kernel answers that since 5.8. Before, unix.Faccessat goes by the mode, which is
// wrong where there is an access control list or a file server has its own opinion.
// So it is tried then, also where a seccomp profile forbids the question.
func mayWrite(dir int) error {
	err := unix.Faccessat2(dir, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return tryToWrite(dir)
	}
	return err
}

// tries counts the files of tryToWrite, so that each has another name.
var tries atomic.Int64

// tryToWrite makes a file without a name, or where the file system has none such
// (NFS), one that is removed at once.
func tryToWrite(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return unix.Close(fd)
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return tryNamed(dir)
}

// tryNamed makes a file and removes it. What has the name already is left alone.
func tryNamed(dir int) error {
	name := fmt.Sprintf(".lsdyna-try-%d-%d", os.Getpid(), tries.Add(1))
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Close(fd), unix.Unlinkat(dir, name, 0))
}
