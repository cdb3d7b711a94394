// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package program knows what supervisors are executed from: the small program that the
// build has embedded (`make build`), or, in a binary of plain `go build`, that binary
// itself. Both run the same package, supervisor/shim. The small one takes half of the
// time to start, since the kernel maps, and Go's runtime reads, a tenth of the bytes.
//
// It is executed from sealed memory and not from a file: nothing on a disk can be
// exchanged, is in the way of an upgrade, or lies on a file system that forbids
// executing.
package program

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// image is the embedded program. The file in the source tree is empty, and make lays the
// program over it (go build -overlay).
//
//go:embed shim.elf
var image []byte

// Self is this process's own binary, also one that has been replaced on disk.
const Self = "/proc/self/exe"

// Embed takes the place of what the build embeds, before the first supervisor is
// started: test binaries are built without make.
func Embed(program []byte) { image = program }

// Size returns how large the embedded program is in bytes, 0 without one.
func Size() int { return len(image) }

// sealed returns the descriptor of the embedded program in memory. It stays open.
var sealed = sync.OnceValues(func() (int, error) { return seal(image) })

// ErrNone means that no program is embedded: this is a binary of plain `go build`.
var ErrNone = errors.New("no supervisor program is embedded")

// seal copies a program into memory that nobody can change any more.
func seal(program []byte) (int, error) {
	if len(program) == 0 {
		return -1, ErrNone
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("nomad-driver-lsdyna", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all of them can be executed
		fd, err = unix.MemfdCreate("nomad-driver-lsdyna", flags)
	}
	if err != nil {
		return -1, fmt.Errorf("create memory for the supervisor program: %w", err)
	}
	for rest := program; len(rest) > 0 && err == nil; {
		var n int
		n, err = unix.Write(fd, rest)
		rest = rest[max(n, 0):]
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("copy the supervisor program to memory: %w", err)
	}
	return fd, nil
}

// A Program is a path to execute, good until Close.
type Program struct {
	Path string
	fd   int
}

// beyond is how far above a child's descriptors the program's is: Go moves some of them
// up, to right above the highest, before the child executes.
const beyond = 64

// Embedded returns the embedded program for a child that gets these descriptors, or why
// it cannot be had; Self can then.
func Embedded(files []uintptr) (*Program, error) {
	memory, err := sealed()
	if err != nil {
		return nil, err
	}
	least := beyond
	for _, fd := range files {
		least = max(least, int(fd)+beyond)
	}
	fd, err := unix.FcntlInt(uintptr(memory), unix.F_DUPFD_CLOEXEC, least)
	if err != nil {
		return nil, fmt.Errorf("duplicate the supervisor program's descriptor: %w", err)
	}
	return &Program{Path: fmt.Sprintf("/proc/self/fd/%d", fd), fd: fd}, nil
}

// Close gives the descriptor back; a child that has been started does not need it.
func (p *Program) Close() error {
	return os.NewSyscallError("close", unix.Close(p.fd))
}
