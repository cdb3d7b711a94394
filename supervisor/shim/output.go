// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"bytes"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// redirect opens the output files in the current directory, as the user,
// passes read-only descriptors of them back, waits for the last word, and makes them
// standard output and error.
func (o *StageOrder) redirect(l *rawcall.List, control int) error {
	files := make([]outputFile, outputs(o.Stdout, o.Stderr))
	rights := syscall.UnixRights(make([]int, len(files))...) // room for the descriptors
	for i, name := range []string{o.Stdout, o.Stderr}[:len(files)] {
		files[i].read = (*rawcall.Result)(unsafe.Pointer(&rights[syscall.CmsgLen(4*i)]))
		files[i].plan(l, name)
	}
	var ready, word bytes.Buffer
	if err := WriteMessage(&ready, StageReport{Ready: true}); err != nil {
		return err
	}
	if err := WriteMessage(&word, Order{Go: true}); err != nil {
		return err
	}
	l.Call("report to the supervisor", syscall.SYS_SENDTO, uintptr(control), l.Bytes(ready.Bytes()), uintptr(ready.Len()), syscall.MSG_NOSIGNAL)
	sendFiles(l, control, len(files), rights)
	for i, target := range []uintptr{1, 2} {
		l.Call("redirect output", syscall.SYS_DUP3, 0, target).On(&files[min(i, len(files)-1)].write)
	}
	o.await(l, control, word.Bytes())
	return nil
}

// await waits for the last word. The end of the socket is a no.
func (o *StageOrder) await(l *rawcall.List, control int, word []byte) {
	calledOff := func(int, syscall.Errno) error { return fmt.Errorf("launch %s: called off", o.Argv[0]) }
	// Whole words can be compared.
	want, got := make([]uint32, (len(word)+3)/4), make([]uint32, (len(word)+3)/4)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&want[0])), 4*len(want)), word)
	l.Call("", syscall.SYS_RECVFROM, uintptr(control), rawcall.Address(l, &got[0]), uintptr(len(word)), syscall.MSG_WAITALL).Explain(calledOff)
	l.Same("", want, got).Explain(calledOff)
}

// outputs is how many output files there are: one name may stand for both.
func outputs(stdout, stderr string) int {
	if stdout == stderr {
		return 1
	}
	return 2
}

// An outputFile is written by the solver and read by the supervisor.
type outputFile struct {
	write rawcall.Result
	read  *rawcall.Result // in the message to the supervisor
}

// plan lists how a new regular file comes to be in the current directory, with
// a descriptor to append to it and one to read it. What had the name keeps its
// content under another; a link or a FIFO that somebody planted is moved
// aside, not followed or opened.
func (f *outputFile) plan(l *rawcall.List, name string) {
	const flags = syscall.O_NOFOLLOW | syscall.O_CLOEXEC | syscall.O_NONBLOCK
	path := l.String(name)
	start := l.Len()
	l.MoveAside("keep the former output file "+name, name)
	l.Call("create output file "+name, syscall.SYS_OPENAT, rawcall.CWD, path, syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT|syscall.O_EXCL|flags, 0o644).
		Into(&f.write).Except(syscall.EEXIST, start, 15)
	l.Call(fmt.Sprintf("open output file %s for reading", name), syscall.SYS_OPENAT, rawcall.CWD, path, syscall.O_RDONLY|flags).Into(f.read)
	w, r := new(syscall.Stat_t), new(syscall.Stat_t)
	what := "open output file " + name
	l.Call(what, syscall.SYS_FSTAT, 0, rawcall.Address(l, w)).On(&f.write)
	l.Call(what, syscall.SYS_FSTAT, 0, rawcall.Address(l, r)).On(f.read)
	l.SameFile("", w, r).Explain(func(int, syscall.Errno) error { return fmt.Errorf("%s: somebody exchanged it", what) })
	// The solver gets an ordinary file, in case it is handed on to a
	// program that minds.
	l.Call(what, syscall.SYS_FCNTL, 0, syscall.F_SETFL, syscall.O_APPEND).On(&f.write)
}

// sendFiles puts on the list that descriptors are passed beside a single byte.
func sendFiles(l *rawcall.List, control, n int, rights []byte) {
	count := byte(n)
	message := &syscall.Msghdr{Iov: &syscall.Iovec{Base: &count, Len: 1}, Iovlen: 1, Control: &rights[0]}
	message.SetControllen(len(rights))
	l.Call("pass output files to the supervisor", syscall.SYS_SENDMSG, uintptr(control), rawcall.Address(l, message), syscall.MSG_NOSIGNAL)
}
