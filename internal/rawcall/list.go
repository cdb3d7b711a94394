// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package rawcall makes system calls from a list that was made beforehand, in a child
// between fork and exec. Such a child is a copy of one thread alone: Go's runtime in it
// waits for threads that are not there. So the list, and all that its calls point to, is
// made before the fork; what runs it allocates nothing, never grows the stack and calls
// nothing of Go's but syscall.RawSyscall6. Package syscall forks in the same way
// (forkAndExecInChild1 in exec_linux.go).
//
// The supervisor links it, so it imports little (see package shim).
package rawcall

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"unsafe"
)

// CWD stands for the current directory in openat(2) and its like.
const CWD = ^uintptr(99) // AT_FDCWD, -100

// A List is what a child does, or the calling thread. Its zero value is an empty one.
type List struct {
	steps []*Step
	first **Step // of steps, once they are run
	kept  []any  // what arguments point to: the collector does not see it in a uintptr
	err   error  // the first that could not be put on the list
}

// A Step is one system call, or one of the few other things that a child can do.
type Step struct {
	kind    kind
	explain func(pid int, errno syscall.Errno) error

	trap     uintptr
	args     [6]uintptr
	on, into *Result

	may       bool // fail
	ifFailed  bool // the step before did
	then      int  // the step that follows; 0: the next
	exception syscall.Errno
	elsewhere int // the step that follows with the exception
	times     int // so often at most

	want, got   *uint32
	words       int
	file, other *syscall.Stat_t
	digits      *byte
	number      uint32
}

type kind uint8

const (
	call     kind = iota
	same          // are two arrays of words
	sameSet       // in whatever order
	sameFile      // are two descriptors, and a regular one
	count         // up, in a name
)

// A Result is what a call returned, as a later one wants it: a descriptor.
type Result struct{ value int32 }

// On has the result of an earlier call as the first argument.
func (s *Step) On(r *Result) *Step { s.on = r; return s }

// Into keeps the result.
func (s *Step) Into(r *Result) *Step { s.into = r; return s }

// MayFail lets the list go on after an error.
func (s *Step) MayFail() *Step { s.may = true; return s }

// IfFailed makes the call only where the one before, which may fail, has failed.
func (s *Step) IfFailed() *Step { s.ifFailed = true; return s }

// Then goes on at another step, by its number.
func (s *Step) Then(step int) *Step { s.then = step; return s }

// Except goes on at another step with this error, so many times.
func (s *Step) Except(errno syscall.Errno, step, times int) *Step {
	s.exception, s.elsewhere, s.times = errno, step, times
	return s
}

// Explain gives the step's error another text. pid is the child's, 0 in itself.
func (s *Step) Explain(explain func(pid int, errno syscall.Errno) error) *Step {
	s.explain = explain
	return s
}

// Len returns how many steps there are, which is the next one's number.
func (l *List) Len() int { return len(l.steps) }

// Err returns the first error of making the list.
func (l *List) Err() error { return l.err }

// Call adds a system call. An error of it ends the list, and is explained by what.
func (l *List) Call(what string, trap uintptr, args ...uintptr) *Step {
	s := l.add(what, call)
	s.trap = trap
	copy(s.args[:], args)
	return s
}

// Same compares what an earlier call is to fill with what it has to be. Both are as long.
func (l *List) Same(what string, want, got []uint32) *Step {
	s := l.add(what, same)
	if len(want) != len(got) || len(want) == 0 {
		l.err = errors.Join(l.err, fmt.Errorf("%s: %d and %d words cannot be the same", what, len(want), len(got)))
		return s
	}
	s.want, s.got, s.words = &want[0], &got[0], len(want)
	return s
}

// SameSet is Same in whatever order.
func (l *List) SameSet(what string, want, got []uint32) *Step {
	s := l.Same(what, want, got)
	s.kind = sameSet
	return s
}

// SameFile compares what fstat(2) is to say of two descriptors: one regular file.
func (l *List) SameFile(what string, file, other *syscall.Stat_t) *Step {
	s := l.add(what, sameFile)
	s.file, s.other = file, other
	return s
}

// MoveAside renames a file of the current directory, of whatever kind, to the first free
// of name.1, name.2, … One that is not there is no error.
func (l *List) MoveAside(what, name string) {
	const most = 10 // digits
	numbered := append([]byte(name+"."), make([]byte, most+1)...)
	from, to := l.String(name), l.Bytes(numbered)
	var seen Result
	// Neither links nor FIFOs nor devices are opened by it, only looked at.
	look := func(path uintptr) *Step {
		const oPath = 0x200000
		return l.Call(what, syscall.SYS_OPENAT, CWD, path, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC).Into(&seen)
	}
	there := look(from)
	l.Call(what, syscall.SYS_CLOSE).On(&seen)
	next := l.Len()
	l.add(what, count).digits = &numbered[len(name)+1]
	taken := look(to)
	l.Call(what, syscall.SYS_CLOSE).On(&seen).Then(next)
	taken.Except(syscall.ENOENT, l.Len(), always)
	renamed := l.Call(what, syscall.SYS_RENAMEAT, CWD, from, CWD, to)
	there.Except(syscall.ENOENT, l.Len(), always)
	renamed.Except(syscall.ENOENT, l.Len(), always) // it went away meanwhile
}

const always = math.MaxInt

func (l *List) add(what string, k kind) *Step {
	s := &Step{kind: k, explain: func(_ int, errno syscall.Errno) error { return fmt.Errorf("%s: %w", what, errno) }}
	l.steps = append(l.steps, s)
	return s
}

// String returns the address of a string as the kernel takes it.
func (l *List) String(s string) uintptr {
	p, err := syscall.BytePtrFromString(s)
	if err != nil {
		l.err = errors.Join(l.err, fmt.Errorf("%q: %w", s, err))
		return 0
	}
	return Address(l, p)
}

// Strings returns the address of an array of strings that ends with a null pointer.
func (l *List) Strings(of []string) uintptr {
	p, err := syscall.SlicePtrFromStrings(of)
	if err != nil {
		l.err = errors.Join(l.err, err)
		return 0
	}
	return Address(l, &p[0])
}

// Bytes returns the address of bytes, 0 where there are none.
func (l *List) Bytes(b []byte) uintptr {
	if len(b) == 0 {
		return 0
	}
	return Address(l, &b[0])
}

// Address returns the address of a variable, which lives as long as the list.
func Address[T any](l *List, p *T) uintptr {
	l.kept = append(l.kept, p)
	return uintptr(unsafe.Pointer(p))
}

// Run runs the list in the calling thread. The caller has locked the goroutine to it.
func (l *List) Run() error {
	if l.err != nil {
		return l.err
	}
	l.prepare()
	if failed, errno := l.run(); failed < len(l.steps) {
		return l.Explain(0, failed, errno)
	}
	return nil
}

func (l *List) prepare() {
	if len(l.steps) > 0 {
		l.first = &l.steps[0]
	}
}

// Explain returns the error of a step that has failed in the child.
func (l *List) Explain(pid, step int, errno syscall.Errno) error {
	if step < 0 || step >= len(l.steps) {
		return fmt.Errorf("step %d of %d: %w", step, len(l.steps), errno)
	}
	return l.steps[step].explain(pid, errno)
}
