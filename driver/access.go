// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// asUser does something with the rights of a task's user, so that a job cannot
// have root look into or write what its user may not: the driver opens run folders
// by a name that the job gives. Without root there are no other rights to have.
//
// Credentials belong to a thread in Linux. The one that changes them is locked to
// a goroutine of its own, and Go starts no other thread from a locked one.
func asUser(u supervisor.User, do func() error) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return do()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := threadRights()
		if err == nil {
			err = rightsOf(u).take()
		}
		if err == nil {
			err = do()
		} else {
			err = fmt.Errorf("act as user %s: %w", u, err)
		}
		// A thread that cannot be set back ends with the goroutine.
		if own.takeBack() == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// rights are what the kernel asks of a thread that opens a file. The real and
// the saved user stay root, so that the task's user cannot signal the plugin and
// the thread can have its own rights back.
type rights struct {
	uid, gid int // effective
	groups   []uint32
}

func threadRights() (rights, error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return rights{}, os.NewSyscallError("getgroups", err)
	}
	r := rights{uid: unix.Geteuid(), gid: unix.Getegid()}
	for _, g := range groups {
		r.groups = append(r.groups, uint32(g))
	}
	return r, nil
}

// rightsOf leaves root's group out, as the solver's own launch does.
func rightsOf(u supervisor.User) rights {
	r := rights{uid: u.UID, gid: u.GID}
	for _, g := range u.Groups {
		if g > 0 {
			r.groups = append(r.groups, uint32(g))
		}
	}
	return r
}

// take sets the calling thread's rights, the user last: with it goes the
// privilege to set the others.
func (r rights) take() error {
	return errors.Join(r.takeGroups(), r.takeUser())
}

// takeBack is take for a thread that is not root's at the moment.
func (r rights) takeBack() error {
	return errors.Join(r.takeUser(), r.takeGroups())
}

const unchanged = ^uintptr(0) // -1

func (r rights) takeUser() error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(r.uid), unchanged)
	if errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

func (r rights) takeGroups() error {
	var list unsafe.Pointer
	if len(r.groups) > 0 {
		list = unsafe.Pointer(&r.groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(r.groups)), uintptr(list), 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, unchanged, uintptr(r.gid), unchanged); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	return nil
}

// openRunFolder opens a run folder that the user may enter and write to. The
// folder itself is opened by the plugin, which goes on reading it.
func openRunFolder(base, rel string, u supervisor.User) (*rundir.Folder, error) {
	folder, err := rundir.Open(base, rel)
	if err != nil {
		return nil, err
	}
	if err := asUser(u, func() error { return mayUse(folder) }); err != nil {
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
