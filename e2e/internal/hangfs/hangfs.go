// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package hangfs mounts a file system that tests can have hang, as a file server
// hangs that stops answering: a FUSE server in a process of its own shows a folder
// at a second path, and SIGSTOP holds that process. Whoever looks at the second
// path then waits until SIGCONT.
//
// # What the kernel does with a process that waits
//
// (linux/Documentation/filesystems/fuse/fuse.rst, "Interrupting filesystem
// operations".) While the server has not read a request, SIGKILL ends the process
// that made it. From then on nothing does but the answer or the end of the
// connection. So Hang stops the server at a moment at which it has read nothing
// that it has not answered, as a hard NFS mount lets itself be killed, and HangWith
// at one at which it has.
//
// Close of a file asks nothing of this server (FOPEN_NOFLUSH, Linux 5.16), or a
// killed process would wait in it. Neither the kernel's caches of names and
// attributes nor that of contents are in use: each look asks the server.
//
// # Bad disks
//
// A file with the sticky bit (chmod +t, behind the file system's back) cannot be read:
// EIO. Everything else goes on.
//
// # Clocks
//
// A file server has a clock of its own (Skew).
//
// # Processes
//
// The program that mounts is executed again as keeper, which has the server for a
// child. The keeper kills the server and unmounts when its input ends, which it does
// in any case with the program. That ends the connection, and with it each wait.
package hangfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A Mount shows the folder Backing at Path. It is for one goroutine.
type Mount struct {
	Path    string
	Backing string // reading here never waits

	keeper  *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	errors  strings.Builder
	closed  bool
}

// Missing says why there can be no Mount on this machine, "" where there can.
func Missing() string {
	if os.Geteuid() != 0 {
		return "a FUSE mount needs root"
	}
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Sprintf("needs FUSE: %v", err)
	}
	_ = device.Close()
	return ""
}

// New mounts the folder backing at path, an empty folder elsewhere. A mount
// namespace made earlier does not have it.
func New(backing, path string) (*Mount, error) { return mount(keeperRole, backing, path) }

// NewSquashing is New for a server that does not trust root, as an NFS server with
// root_squash: root has the rights of user 65534 there, and gives no file away.
func NewSquashing(backing, path string) (*Mount, error) {
	return mount(squashingKeeperRole, backing, path)
}

func mount(role, backing, path string) (*Mount, error) {
	backing, err := filepath.Abs(backing)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	m := &Mount{Path: path, Backing: backing}
	if err := m.start(role); err != nil {
		return nil, fmt.Errorf("mount %s: %w", path, err)
	}
	return m, nil
}

func (m *Mount) start(role string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m.keeper = exec.Command(self, role, m.Backing, m.Path)
	// Out of the terminal's process group: ^C is for the tests, which then clean up.
	m.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.keeper.Stderr = &m.errors
	if m.orders, err = m.keeper.StdinPipe(); err != nil {
		return err
	}
	out, err := m.keeper.StdoutPipe()
	if err != nil {
		return err
	}
	m.answers = bufio.NewReader(out)
	if err := m.keeper.Start(); err != nil {
		return err
	}
	if err := m.answer(); err != nil {
		return errors.Join(err, m.end())
	}
	return nil
}

// Hang has the file system answer no more, from a moment at which it owes no
// answer.
func (m *Mount) Hang() error { return m.order("hang") }

// HangWith is Hang, but a request of this process stays without its answer: the
// next one in which the process looks up a name, reads or writes.
func (m *Mount) HangWith(pid int) error { return m.HangWhen(pid, func() {}) }

// HangWhen is HangWith with the request that do brings about.
func (m *Mount) HangWhen(pid int, do func()) error {
	if err := m.order(fmt.Sprintf("arm %d", pid)); err != nil {
		return err
	}
	do()
	return m.order(fmt.Sprintf("hang %d", pid))
}

// Resume has the file system answer again, first what it was asked meanwhile. It
// does nothing where none hangs.
func (m *Mount) Resume() error {
	if m.closed {
		return nil
	}
	return m.order("resume")
}

// Close unmounts the file system, also one that hangs, once. Files that are open
// there can be read no more.
func (m *Mount) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	if err := m.end(); err != nil {
		return fmt.Errorf("unmount %s: %w", m.Path, err)
	}
	return nil
}

func (m *Mount) end() error {
	err := errors.Join(m.orders.Close(), m.keeper.Wait())
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(m.errors.String()))
	}
	return err
}

func (m *Mount) order(words string) error {
	if _, err := fmt.Fprintln(m.orders, words); err != nil {
		return fmt.Errorf("%s the file system at %s: %w", words, m.Path, err)
	}
	if err := m.answer(); err != nil {
		return fmt.Errorf("%s the file system at %s: %w", words, m.Path, err)
	}
	return nil
}

// done is what the keeper answers when it has done what it was asked.
const done = "done\n"

func (m *Mount) answer() error {
	line, err := m.answers.ReadString('\n')
	switch {
	case err != nil:
		return fmt.Errorf("its keeper has ended: %w", err)
	case line != done:
		return errors.New(strings.TrimSpace(line))
	}
	return nil
}

// The roles that a program can be executed in, by its first argument.
const (
	keeperRole          = "hangfs-keeper"
	serverRole          = "hangfs-server"
	squashingKeeperRole = "hangfs-keeper-squashing"
	squashingServerRole = "hangfs-server-squashing"
)

// Main is the program of the processes of this package. In any other process it
// returns at once. Whoever mounts has to call it first of all.
func Main() {
	const words = 4 // program, role, backing, path
	if len(os.Args) != words {
		return
	}
	var play func(backing, path string) error
	switch os.Args[1] {
	case keeperRole:
		play = keeping(serverRole)
	case squashingKeeperRole:
		play = keeping(squashingServerRole)
	case serverRole:
		play = serving(trusting)
	case squashingServerRole:
		play = serving(squashing)
	default:
		return
	}
	if err := play(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
