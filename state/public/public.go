// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package public is what a plugin tells those who may not read state_dir: files in
// status_dir, a folder that root writes and everybody may enter.
//
// node.json is for everybody. It tells how cores are given out, which are taken, where
// state_dir is, and when it was written: it is the sign of the plugin's life. UID.json belongs to the user with
// that number, who alone may read it, and tells of the tasks that run as him. He can make
// his own file say anything, so nothing is decided by it, and nobody else reads it.
package public

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// DefaultDir is status_dir where the agent's configuration does not say. It is in memory,
// and gone with the next boot.
const DefaultDir = "/run/nomad-driver-lsdyna"

// version is the version of both files that this package writes.
const version = 1

// Writer is the plugin process that wrote a file.
type Writer struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start_time"` // clock ticks after boot
	BootID string `json:"boot_id"`
}

// ThisProcess is this process as a Writer.
func ThisProcess(pid int) Writer {
	w := Writer{PID: pid}
	w.Start, _ = procfs.StartTicks(procfs.Root, pid)
	w.BootID, _ = procfs.BootID(procfs.Root)
	return w
}

// Identity names the process.
func (w Writer) Identity() procfs.Identity {
	return procfs.Identity{PID: w.PID, StartTicks: w.Start, BootID: w.BootID}
}

// Node is node.json.
type Node struct {
	Version  int            `json:"version"`
	Writer   Writer         `json:"plugin"`
	Written  time.Time      `json:"written_at"`
	Uptime   float64        `json:"uptime_seconds"`      // when it was written, since the boot: no clock steps
	StateDir string         `json:"state_dir,omitempty"` // of this plugin, for who may read it
	Settings state.Settings `json:"settings"`
	Taken    string         `json:"taken"` // list of the CPUs that live tasks are bound to
	Tasks    int            `json:"tasks"` // that live, of all users
}

// Tasks is UID.json.
type Tasks struct {
	Version int    `json:"version"`
	Writer  Writer `json:"plugin"`
	UID     int    `json:"uid"`
	Tasks   []Task `json:"tasks"`
}

// Task is a task that lives.
type Task struct {
	ID       state.ID        `json:"id"`
	Details  state.Details   `json:"details"` // as far as status tells them
	Process  Process         `json:"process"`
	State    string          `json:"state"`
	Cores    []int           `json:"cores"`    // that it is bound to; none: without affinity
	Snapshot json.RawMessage `json:"snapshot"` // what its outputs say (package lsdyna); null: not known yet
	Notes    []string        `json:"notes,omitempty"`
}

// Process is a task's solver and its supervisor.
type Process struct {
	PID             int    `json:"pid"`
	Start           uint64 `json:"start_time"`
	SupervisorPID   int    `json:"supervisor_pid"`
	SupervisorStart uint64 `json:"supervisor_start_time"`
	BootID          string `json:"boot_id"`
}

// Told is Details without what status does not tell: what lay in the folder before, keys,
// groups and homes.
func Told(d *state.Details) state.Details {
	return state.Details{
		Version: d.Version, TaskID: d.TaskID, JobID: d.JobID, JobName: d.JobName, Namespace: d.Namespace, Group: d.Group, Task: d.Task,
		AllocID: d.AllocID, NodeID: d.NodeID, NodeName: d.NodeName, Nodes: d.Nodes, NodeIndex: d.NodeIndex, StartedAt: d.StartedAt,
		User: d.User, UID: d.UID, GID: d.GID, Solver: d.Solver, Parallel: d.Parallel, Precision: d.Precision,
		RunBase: d.RunBase, RunFolder: d.RunFolder, Stdout: d.Stdout, Input: d.Input, LSDynaJob: d.LSDynaJob,
		CoresAsked: d.CoresAsked, Reserved: d.Reserved, CgroupParent: d.CgroupParent, Placement: d.Placement, Ranks: d.Ranks, Threads: d.Threads,
		Stop: d.Stop, Restart: d.Restart, StartTimeout: d.StartTimeout,
	}
}

// Uptime is how long ago the machine was started. It counts on while the machine sleeps.
func Uptime() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano()).Seconds()
}

const nodeName = "node.json"

func tasksName(uid int) string { return strconv.Itoa(uid) + ".json" }

// Bounds of what is read, in bytes.
const (
	maxNode  = 64 << 10
	maxTasks = 16 << 20
)

// ReadNode reads what a plugin tells everybody.
func ReadNode(dir string) (Node, error) {
	var n Node
	err := read(filepath.Join(dir, nodeName), maxNode, &n)
	if err == nil && n.Version > version {
		err = fmt.Errorf("%s is of a newer plugin; use its command", filepath.Join(dir, nodeName))
	}
	return n, err
}

// StateDir returns the state_dir of the plugin that tells something in a folder. It is ""
// where none is told, or where somebody else than root and this user could have told it:
// root's commands act on what is recorded there.
func StateDir(dir string) string {
	if dir == "" {
		return ""
	}
	file := filepath.Join(dir, nodeName)
	if err := state.CheckWay("status_dir", file); err != nil { // through dir itself
		return ""
	}
	// In a sticky folder, as /tmp is, everybody has files, and each only his own.
	info, err := os.Lstat(file)
	if err != nil {
		return ""
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return ""
	}
	n, err := ReadNode(dir)
	if err != nil || !filepath.IsAbs(n.StateDir) {
		return ""
	}
	return filepath.Clean(n.StateDir)
}

// Is reports whether a plugin tells, or has told, something in a folder.
func Is(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, nodeName))
	return err == nil
}

// ReadTasks reads what a plugin tells a user of his tasks; none where it tells nothing.
func ReadTasks(dir string, uid int) (Tasks, error) {
	var t Tasks
	err := read(filepath.Join(dir, tasksName(uid)), maxTasks, &t)
	if errors.Is(err, fs.ErrNotExist) {
		return Tasks{UID: uid}, nil
	}
	if err == nil && (t.Version > version || t.UID != uid) {
		err = fmt.Errorf("%s is not of this plugin and user", filepath.Join(dir, tasksName(uid)))
	}
	return t, err
}

func read(path string, most int, into any) error {
	data, err := durable.ReadFile(path, most)
	if err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read status %s: %w", path, err)
	}
	return nil
}

// stale is after how many seconds without a word a plugin is taken for one that tells
// nothing new.
const stale = 60

// Doubt says why what a plugin told may not be true any more; "" where it is.
func (n *Node) Doubt(proc string, uptime float64) string {
	age := time.Duration((uptime - n.Uptime) * float64(time.Second)).Round(time.Second)
	at := n.Written.Local().Format(time.DateTime)
	switch {
	case !n.Writer.Identity().ThisBoot(proc):
		return fmt.Sprintf("the machine was started since the plugin wrote this, at %s", at)
	case age > stale*time.Second:
		return fmt.Sprintf("the plugin wrote this %s ago, at %s, and nothing since: it does not run, or hangs", age, at)
	case hidden(proc), n.Writer.Identity().Alive(proc):
		return ""
	}
	return fmt.Sprintf("the plugin wrote this %s ago, at %s, and does not run any more", age, at)
}

// hidden reports whether /proc hides the processes of others (hidepid in proc(5)): the
// first is always there.
func hidden(proc string) bool {
	_, err := procfs.ReadStat(proc, 1)
	return err != nil
}
