// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package creds changes the credentials of a thread to those of a task's user: for
// good before the thread executes the user's program, or for one piece of work.
//
// Credentials belong to a thread in Linux. The raw system calls below concern the
// calling thread alone; the functions of package syscall would change every thread of
// the process.
//
// The supervisor links it, so it imports little (see package shim).
package creds

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// User is who a task runs as. It is applied only where this process is root;
// otherwise UID must be the process's own.
type User struct {
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Name string `json:"name"` // for LOGNAME and USER
	Home string `json:"home"` // for HOME

	// Groups are the supplementary groups. 0 is dropped unless UID is 0.
	Groups []int `json:"groups,omitempty"`
}

// String names the user for messages.
func (u User) String() string {
	if u.Name != "" {
		return u.Name
	}
	return strconv.Itoa(u.UID)
}

// supplementary leaves out root's group, which would come along from Nomad,
// unless the user is root.
func (u User) supplementary() []uint32 {
	var groups []uint32
	for _, g := range u.Groups {
		if g >= 0 && (g != 0 || u.UID == 0) {
			groups = append(groups, uint32(g))
		}
	}
	return groups
}

// Become puts on the list what changes the thread that runs it to the user for good:
// real, effective and saved ids and the groups, and a look at what the kernel says then.
// The thread executes a program next, with which other threads end.
func (u User) Become(l *rawcall.List) error {
	if os.Geteuid() != 0 {
		if u.UID != os.Geteuid() {
			return fmt.Errorf("become user %s (uid %d): the driver runs as uid %d and may not", u, u.UID, os.Geteuid())
		}
		return nil
	}
	groups, uid, gid := u.supplementary(), uintptr(u.UID), uintptr(u.GID)
	var list uintptr
	if len(groups) > 0 {
		list = rawcall.Address(l, &groups[0])
	}
	l.Call(fmt.Sprintf("set supplementary groups of user %s", u), syscall.SYS_SETGROUPS, uintptr(len(groups)), list)
	l.Call(fmt.Sprintf("set group %d of user %s", u.GID, u), syscall.SYS_SETRESGID, gid, gid, gid)
	l.Call(fmt.Sprintf("become user %s (uid %d)", u, u.UID), syscall.SYS_SETRESUID, uid, uid, uid)
	u.verify(l, groups)
	return nil
}

// verify has the ids and groups read back.
func (u User) verify(l *rawcall.List, groups []uint32) {
	differs := func(which string) func(int, syscall.Errno) error {
		return func(int, syscall.Errno) error {
			return fmt.Errorf("become user %s (uid %d): the kernel says other %s", u, u.UID, which)
		}
	}
	uids, gids := new([3]uint32), new([3]uint32)
	l.Call("read back user ids", syscall.SYS_GETRESUID, rawcall.Address(l, &uids[0]), rawcall.Address(l, &uids[1]), rawcall.Address(l, &uids[2]))
	l.Same("", []uint32{uint32(u.UID), uint32(u.UID), uint32(u.UID)}, uids[:]).Explain(differs("user ids"))
	l.Call("read back group ids", syscall.SYS_GETRESGID, rawcall.Address(l, &gids[0]), rawcall.Address(l, &gids[1]), rawcall.Address(l, &gids[2]))
	l.Same("", []uint32{uint32(u.GID), uint32(u.GID), uint32(u.GID)}, gids[:]).Explain(differs("group ids"))
	// One more than there may be: the kernel leaves what is behind them as it is, and
	// fails where they are yet more.
	const none = ^uint32(0)
	got := make([]uint32, len(groups)+1)
	for i := range got {
		got[i] = none
	}
	l.Call(fmt.Sprintf("become user %s: read back groups", u), syscall.SYS_GETGROUPS, uintptr(len(got)), rawcall.Address(l, &got[0]))
	l.SameSet("", append(slices.Clone(groups), none), got).Explain(differs("supplementary groups"))
}

// Do calls do with the user's rights, so that a job cannot have root look into or
// write what its user may not. Without root there are no other rights to have.
//
// The thread that changes its rights is locked to a goroutine of its own, and Go
// starts no other thread from a locked one.
func (u User) Do(do func() error) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return do()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := threadRights()
		if err == nil {
			err = rights{u.UID, u.GID, u.supplementary()}.take()
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

// rights are what the kernel asks of a thread that opens a file. The real and the
// saved user stay root, so that the task's user cannot signal the plugin and the
// thread can have its own rights back.
type rights struct {
	uid, gid int // effective
	groups   []uint32
}

func threadRights() (rights, error) {
	groups, err := syscall.Getgroups()
	if err != nil {
		return rights{}, os.NewSyscallError("getgroups", err)
	}
	r := rights{uid: os.Geteuid(), gid: os.Getegid()}
	for _, g := range groups {
		r.groups = append(r.groups, uint32(g))
	}
	return r, nil
}

// take sets the calling thread's rights, the user last: with it goes the privilege
// to set the others.
func (r rights) take() error {
	return errors.Join(r.takeGroups(), r.takeUser())
}

// takeBack is take for a thread that is not root's at the moment.
func (r rights) takeBack() error {
	return errors.Join(r.takeUser(), r.takeGroups())
}

const unchanged = ^uintptr(0) // -1

func (r rights) takeUser() error { return setUIDs(unchanged, uintptr(r.uid), unchanged) }

func (r rights) takeGroups() error {
	return errors.Join(setGroups(r.groups), setGIDs(unchanged, uintptr(r.gid), unchanged))
}

func setGroups(groups []uint32) error {
	var list unsafe.Pointer
	if len(groups) > 0 {
		list = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	return nil
}

func setGIDs(rgid, egid, sgid uintptr) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, rgid, egid, sgid); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	return nil
}

func setUIDs(ruid, euid, suid uintptr) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ruid, euid, suid); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}
