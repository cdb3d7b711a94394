// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package member

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// folderTries bounds how often the folder is made anew that another node removes.
const folderTries = 100

// InFolder writes something into the folder of the records, which is made where it is
// not there. Another node may remove it meanwhile, as the last one that used it.
func InFolder(runFolder string, write func(dir string) error) (err error) {
	dir := filepath.Join(runFolder, Folder)
	for range folderTries {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the folder of the nodes' records: %w", err)
		}
		if err := CheckFolder(runFolder); err != nil {
			return err
		}
		if err = write(dir); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// CheckFolder refuses a folder of the records into which others than the run's user can
// write: they would say which nodes the run has, and what its ranks execute. One that is
// not there is no error. It is called with the rights of the run's user.
func CheckFolder(runFolder string) error {
	dir := filepath.Join(runFolder, Folder)
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the folder of the nodes' records: %w", err)
	}
	var what string
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		what = "is a symbolic link"
	case !info.IsDir():
		what = "is no folder"
	case info.Mode().Perm()&0o022 != 0:
		what = fmt.Sprintf("can be written by others (%s)", info.Mode())
	case !isOwn(runFolder, info):
		what = fmt.Sprintf("is not the run's user's (%s)", owner(info))
	default:
		return nil
	}
	if path, err := filepath.Abs(dir); err == nil {
		dir = path
	}
	return fmt.Errorf("%s %s: somebody else may have put it there; remove it while no run uses the folder, the nodes make it anew", dir, what)
}

// isOwn reports whether something in the run folder is this user's. A file server may
// give what he makes to another one: then his files in the run folder are that one's, too.
func isOwn(runFolder string, info fs.FileInfo) bool {
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if int(is.Uid) == unix.Geteuid() { // of this thread
		return true
	}
	probe, err := os.MkdirTemp(runFolder, Folder+"-owner-*")
	if err != nil {
		return false
	}
	defer os.Remove(probe)
	var made unix.Stat_t
	return unix.Lstat(probe, &made) == nil && made.Uid == is.Uid
}

func owner(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("uid %d, and he is uid %d", st.Uid, unix.Geteuid())
	}
	return "owner unknown"
}
