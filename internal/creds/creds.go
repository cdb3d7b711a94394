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

// Become changes the calling thread to the user for good: real, effective and saved
// ids and the groups. The caller is locked to the thread and executes a program
// next, with which the other threads end.
func (u User) Become() error {
	if os.Geteuid() != 0 {
		if u.UID != os.Geteuid() {
			return fmt.Errorf("become user %s (uid %d): the driver runs as uid %d and may not", u, u.UID, os.Geteuid())
		}
		return nil
	}
	groups := u.supplementary()
	if err := setGroups(groups); err != nil {
		return fmt.Errorf("set supplementary groups of user %s: %w", u, err)
	}
	gid, uid := uintptr(u.GID), uintptr(u.UID)
	if err := setGIDs(gid, gid, gid); err != nil {
		return fmt.Errorf("set group %d of user %s: %w", u.GID, u, err)
	}
	if err := setUIDs(uid, uid, uid); err != nil {
		return fmt.Errorf("become user %s (uid %d): %w", u, u.UID, err)
	}
	return u.verify(groups)
}

func (u User) verify(groups []uint32) error {
	got, err := syscall.Getgroups()
	if err != nil {
		return fmt.Errorf("read back groups: %w", err)
	}
	if os.Getuid() != u.UID || os.Geteuid() != u.UID || os.Getgid() != u.GID || os.Getegid() != u.GID || len(got) != len(groups) {
		return fmt.Errorf("become user %s (uid %d): the kernel says uid %d, gid %d, groups %v", u, u.UID, os.Geteuid(), os.Getegid(), got)
	}
	for _, g := range got {
		if !slices.Contains(groups, uint32(g)) {
			return fmt.Errorf("become user %s: supplementary group %d stayed", u, g)
		}
	}
	return nil
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
