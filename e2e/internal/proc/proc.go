// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package proc reads what the tests need to know of running processes from
// /proc: who is there, from which binary, on which CPUs, in which cgroups. It
// reads and never signals.
package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Root is where the kernel shows its processes.
const Root = "/proc"

// Process is one process as it was when it was read.
type Process struct {
	PID        int
	PPID       int
	Session    int    // by its leader's number
	Terminal   int    // device number of the controlling terminal, 0 without one
	State      byte   // R, S, D, Z, …: proc(5)
	StartTicks uint64 // clock ticks since boot; with PID it names a process for good
	Exe        string // "" for a kernel thread, a zombie, or without permission
	Cwd        string // likewise
	Args       []string
}

// Alive tells whether the process could still do something: a zombie cannot.
func (p Process) Alive() bool { return p.State != 'Z' && p.State != 'X' }

// String names the process for a message.
func (p Process) String() string {
	return fmt.Sprintf("pid %d (parent %d, %c): %s", p.PID, p.PPID, p.State, strings.Join(p.Args, " "))
}

// Read returns the process with this id. The error is fs.ErrNotExist when there is none.
func Read(pid int) (Process, error) {
	dir := filepath.Join(Root, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, gone(err)
	}
	p, err := parseStat(string(stat))
	if err != nil {
		return Process{}, fmt.Errorf("read %s/stat: %w", dir, err)
	}
	// These may be refused or already gone; the process is then known by its number alone.
	p.Exe, _ = os.Readlink(filepath.Join(dir, "exe"))
	p.Exe = strings.TrimSuffix(p.Exe, " (deleted)")
	p.Cwd, _ = os.Readlink(filepath.Join(dir, "cwd"))
	p.Cwd = strings.TrimSuffix(p.Cwd, " (deleted)")
	if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(args) > 0 {
		p.Args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
	}
	return p, nil
}

// gone makes one error of the two /proc has for a process that has ended: no
// directory, and ESRCH when it ends between open and read.
func gone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// parseStat reads the fields the tests want out of /proc/PID/stat. The name in
// field 2 may hold blanks and parentheses, so the fields count from its last ')'.
func parseStat(stat string) (Process, error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("no process name in %q", stat)
	}
	rest := strings.Fields(stat[end+1:])
	const startField = 22 - 3 // proc(5) counts from 1, and state is field 3
	if len(rest) <= startField || len(rest[0]) != 1 {
		return Process{}, fmt.Errorf("too few fields in %q", stat)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(stat[:open]))
	if err != nil {
		return Process{}, fmt.Errorf("pid: %w", err)
	}
	ppid, err := strconv.Atoi(rest[1])
	if err != nil {
		return Process{}, fmt.Errorf("parent: %w", err)
	}
	session, err := strconv.Atoi(rest[6-3])
	if err != nil {
		return Process{}, fmt.Errorf("session: %w", err)
	}
	terminal, err := strconv.Atoi(rest[7-3])
	if err != nil {
		return Process{}, fmt.Errorf("terminal: %w", err)
	}
	start, err := strconv.ParseUint(rest[startField], 10, 64)
	if err != nil {
		return Process{}, fmt.Errorf("start time: %w", err)
	}
	return Process{PID: pid, PPID: ppid, Session: session, Terminal: terminal, State: rest[0][0], StartTicks: start}, nil
}

// All returns every process there is; those that end meanwhile are left out.
func All() ([]Process, error) {
	entries, err := os.ReadDir(Root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := Read(pid)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Select returns the living processes that match.
func Select(match func(Process) bool) ([]Process, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, p := range all {
		if p.Alive() && match(p) {
			found = append(found, p)
		}
	}
	return found, nil
}

// WithExe returns the living processes that run this binary.
func WithExe(path string) ([]Process, error) {
	return Select(func(p Process) bool { return p.Exe == path })
}

// Children returns the living children of a process that run this binary, or
// all its children for the path "".
func Children(ppid int, exe string) ([]Process, error) {
	return Select(func(p Process) bool { return p.PPID == ppid && (exe == "" || p.Exe == exe) })
}

// Environ returns the environment that the process was started with. Only root
// sees that of another user's process.
func Environ(pid int) ([]string, error) {
	env, err := os.ReadFile(filepath.Join(Root, strconv.Itoa(pid), "environ"))
	if err != nil {
		return nil, fmt.Errorf("environment of process %d: %w", pid, gone(err))
	}
	return strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00"), nil
}

// WithEnv returns the living processes that were started with this "KEY=VALUE"
// in their environment.
func WithEnv(entry string) ([]Process, error) {
	return Select(func(p Process) bool {
		env, err := Environ(p.PID)
		return err == nil && slices.Contains(env, entry)
	})
}

// Mounts names the mount namespace of a process.
func Mounts(pid int) (string, error) {
	name, err := os.Readlink(filepath.Join(Root, strconv.Itoa(pid), "ns/mnt"))
	if err != nil {
		return "", fmt.Errorf("mount namespace of process %d: %w", pid, gone(err))
	}
	return name, nil
}

// EnvMentions tells whether the environment the process was started with has the
// text anywhere.
func EnvMentions(pid int, text string) bool {
	env, err := Environ(pid)
	return err == nil && strings.Contains(strings.Join(env, "\x00"), text)
}
