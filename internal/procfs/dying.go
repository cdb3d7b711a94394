// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Dying reports whether the process will never run code of its own again, also where
// it cannot end: a thread that waits in the kernel for a file server that does not
// answer keeps all that the process has open, locks among it, whoever killed it.
//
// The proof is that of each thread. complete_signal in linux/kernel/signal.c puts
// SIGKILL among the signals that are pending for every single thread of the process,
// and a thread looks at these each time before it returns to its code. One that has
// taken the signal from there is exiting (PF_EXITING), or over. So a process whose
// first thread alone has ended is not dying, nor is one with a thread of which none
// of this can be told. A thread that is not dying may start another one and end before
// it is looked at: then the other one shows up in the second list.
func (id Identity) Dying(root string) bool {
	if !id.isThis(root) {
		return false
	}
	dir := root + "/" + strconv.Itoa(id.PID) + "/task"
	threads, err := PIDs(dir)
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, tid := range threads {
		if dying, err := threadDying(dir, tid); err != nil || !dying {
			return false
		}
	}
	again, err := PIDs(dir)
	if err != nil {
		return false
	}
	for _, tid := range again {
		if !slices.Contains(threads, tid) {
			return false
		}
	}
	return id.isThis(root)
}

// isThis reports whether the process id still is this process's, ended or not.
func (id Identity) isThis(root string) bool {
	if !id.ThisBoot(root) {
		return false
	}
	s, err := ReadStat(root, id.PID)
	return err == nil && s.StartTicks == id.StartTicks
}

// threadDying reports whether a thread will never run code of its process again. dir
// is the process's folder of threads.
func threadDying(dir string, tid int) (bool, error) {
	s, err := ReadStat(dir, tid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil // it has ended since
	case err != nil:
		return false, err
	case s.Ended() || s.Exiting:
		return true, nil
	}
	const most = 64 << 10 // bytes; groups make it long
	data, err := durable.ReadFile(dir+"/"+strconv.Itoa(tid)+"/status", most)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read status of thread %d: %w", tid, err)
	}
	return killPending(data)
}

// killPending reports whether a status file says that SIGKILL is pending for the
// thread. What is pending for the process as a whole (ShdPnd) does not count: it is
// for one of its threads, whichever comes first.
func killPending(status []byte) (bool, error) {
	for line := range bytes.Lines(status) {
		value, found := bytes.CutPrefix(line, []byte("SigPnd:"))
		if !found {
			continue
		}
		mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			return false, fmt.Errorf("pending signals %q: %w", bytes.TrimSpace(value), err)
		}
		return mask&(1<<(uint(syscall.SIGKILL)-1)) != 0, nil
	}
	return false, errors.New("no pending signals in a status file")
}

// FlockHolders returns the processes that took a flock on the file with an inode
// number, by the kernel's own list (proc_locks(5)). The number may be that of files
// of several file systems.
func FlockHolders(root string, inode uint64) ([]int, error) {
	const most = 8 << 20 // bytes
	data, err := durable.ReadFile(root+"/locks", most)
	if err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	suffix := []byte(":" + strconv.FormatUint(inode, 10))
	var pids []int
	for line := range bytes.Lines(data) {
		// "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF"; who waits has "->" before FLOCK
		fields := bytes.Fields(line)
		const kind, pid, file = 1, 4, 5
		if len(fields) <= file || string(fields[kind]) != "FLOCK" || !bytes.HasSuffix(fields[file], suffix) {
			continue
		}
		if n, err := strconv.Atoi(string(fields[pid])); err == nil {
			pids = append(pids, n)
		}
	}
	return pids, nil
}
