// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rawcall

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"
)

// Forks reports whether a child can be forked here. The kernel's order of clone's
// arguments and its structures differ by architecture.
const Forks = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// A Child is what a fork makes: a process that runs the list, whose last step executes a
// program.
type Child struct {
	*List

	// Cgroup is the descriptor of a cgroup v2 to be born in; -1 for none. It needs
	// Linux 5.7.
	Cgroup int

	// Failure is what the child sends to Control, a socket, when a step fails. Before
	// that it writes the step's number and the error's at their places in it: decimal,
	// NumberWidth wide, with blanks in front.
	Control int
	Failure []byte
	Step    int // where in Failure
	Errno   int

	// Argument is memory of this process that the child fills with Word, which is as
	// long: ps shows a process's arguments from where the kernel put them.
	Argument, Word []byte

	clone clone
	masks struct{ all, old uint64 }
	to    struct{ clone, all, old, failure uintptr } // addresses

	stepAt, errnoAt *byte
	argument, word  *byte
	letters         int
}

// NumberWidth is how wide a number in Child.Failure is.
const NumberWidth = 10

// ArgumentOf returns the memory of one of os.Args: Go leaves them where the kernel put
// them. Only a child may write to it.
func ArgumentOf(arg string) []byte { return unsafe.Slice(unsafe.StringData(arg), len(arg)) }

// clone is struct clone_args of linux/sched.h, up to what is used.
type clone struct {
	flags      uint64
	_          [3]uint64 // pidfd and thread ids
	exitSignal uint64
	_          [5]uint64 // stack, thread-local storage, chosen ids
	cgroup     uint64
}

// The number is the same on every architecture.
const (
	sysClone3       = 435
	cloneArgsSize   = 88
	cloneIntoCgroup = 1 << 33
)

// Start forks the child. It runs while this process goes on, which has to wait for it.
// Before the list's first step no signal has a handler in it, and none is blocked.
func (c *Child) Start() (pid int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	c.masks.all = ^uint64(0)
	c.to.all, c.to.old = Address(c.List, &c.masks.all), Address(c.List, &c.masks.old)
	if len(c.Failure) < max(c.Step, c.Errno)+NumberWidth {
		return 0, errors.New("fork: there is no room to tell what fails")
	}
	c.to.failure = c.Bytes(c.Failure)
	c.stepAt, c.errnoAt = &c.Failure[c.Step], &c.Failure[c.Errno]
	if c.letters = min(len(c.Argument), len(c.Word)); c.letters > 0 {
		c.argument, c.word = &c.Argument[0], &c.Word[0]
	}
	c.prepare()
	if c.to.clone = 0; c.Cgroup >= 0 {
		c.clone = clone{flags: cloneIntoCgroup, exitSignal: uint64(syscall.SIGCHLD), cgroup: uint64(c.Cgroup)}
		c.to.clone = Address(c.List, &c.clone)
	}
	// Nobody shall make a descriptor that passes through the exec meanwhile.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	runtime.LockOSThread() // its signal mask is changed for a moment
	defer runtime.UnlockOSThread()
	got, errno := c.fork()
	runtime.KeepAlive(c)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
