// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// stateDir is what errors call a state_dir.
const stateDir = "state_dir"

// CheckWay refuses the way to a folder that somebody else could lead elsewhere: each
// folder and link on it belongs to root or this process's user, and nobody else may write
// there. what is what errors call the folder, which need not be there.
func CheckWay(what, dir string) error { return checkWay(what, dir) }

// secureDir makes a folder that only its owner may enter, and checks one that
// was there before.
func secureDir(dir string) error {
	// Before the folder is made: root makes nothing where others lead it.
	if err := checkWay(stateDir, dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state_dir: %w", err)
	}
	return checkDir(dir)
}

// checkDir refuses a folder that somebody else could have prepared: a link, a
// foreign owner, or permissions for others. Whoever can write here can make
// root end any process.
func checkDir(dir string) error {
	if err := checkWay(stateDir, dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("check state_dir: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("state_dir %s is a symbolic link; name the folder itself", dir)
	case !info.IsDir():
		return fmt.Errorf("state_dir %s is not a folder", dir)
	case ok && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("state_dir %s belongs to uid %d, not to the agent's uid %d; chown it or name another", dir, stat.Uid, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("state_dir %s has mode %04o, so others can enter it; chmod 0700 it", dir, info.Mode().Perm())
	}
	return checkDefaults(dir)
}

// checkDefaults refuses a folder in which others may write what will be made there.
// Lists of who may use the folder itself need no look: mode 0700 leaves them nothing.
func checkDefaults(dir string) error {
	list, err := readACL(dir, defaultACL)
	if err != nil {
		return fmt.Errorf("check state_dir: %w", err)
	}
	const nobody = 0 // the owning group of what is made is root's, or has no rights there
	if who := writer(list, nobody); who != "" {
		return fmt.Errorf("state_dir %s: its default access control list lets %s write what is made there; remove the list: setfacl -b %s", dir, who, dir)
	}
	return nil
}

// maxLinks is how many symbolic links a way may have, as the kernel counts.
const maxLinks = 40

// checkWay refuses a folder that others could exchange for another: some folder
// above it belongs to a foreign user, or others may write there, by its mode or an
// access control list (unless it is sticky, as /tmp is: there each entry is its owner's). Links on the way are
// followed when the agent's user or root made them, and their targets are checked
// as well. What is not there yet is not checked.
func checkWay(what, dir string) error {
	todo, links := splitWay(filepath.Dir(filepath.Clean(dir))), 0
	at := "/"
	for {
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("check the way to %s: %w", what, err)
		}
		if err := checkStep(what, at, dir, info); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if links++; links > maxLinks {
				return fmt.Errorf("%s %s: too many symbolic links on the way", what, dir)
			}
			target, err := os.Readlink(at)
			if err != nil {
				return fmt.Errorf("check the way to %s: %w", what, err)
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, todo = "/", append(splitWay(filepath.Clean(target)), todo...)
			continue
		}
		if len(todo) == 0 {
			return nil
		}
		at, todo = filepath.Join(at, todo[0]), todo[1:]
	}
}

func splitWay(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// checkStep looks at one folder or link above state_dir.
func checkStep(what, at, dir string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s %s: the owner of %s cannot be told", what, dir, at)
	}
	if uid := int(stat.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s %s: %s on the way belongs to uid %d, who could exchange what is below; name a folder that only root leads to", what, dir, at, uid)
	}
	if info.Mode()&(fs.ModeSymlink|fs.ModeSticky) != 0 {
		return nil // a link's mode says nothing
	}
	list, err := readACL(at, accessACL)
	if err != nil {
		return fmt.Errorf("check the way to %s: %w", what, err)
	}
	if who := writer(list, stat.Gid); who != "" {
		return fmt.Errorf("%s %s: an access control list lets %s write %s on the way, and so exchange what is below; remove the list (setfacl -b %s), or name another folder", what, dir, who, at, at)
	}
	perm := info.Mode().Perm()
	if perm&0o002 != 0 || perm&0o020 != 0 && stat.Gid != 0 && list == nil {
		return fmt.Errorf("%s %s: others may write %s on the way (mode %04o), and so exchange what is below; chmod go-w it, or name another folder", what, dir, at, perm)
	}
	return nil
}
