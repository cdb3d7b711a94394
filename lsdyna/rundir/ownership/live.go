// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Living is a run of which it is certain that its solver computes in the folder.
type Living struct {
	Since time.Time // its start, by its node's clock
	By    string    // what proves it, in words
}

// Live finds out whether the run that has the folder lives; false where nothing proves
// it. It needs no rights but to read the folder, and changes nothing. On the run's own
// machine its solver's process is the proof. On another, or where /proc hides it, it is
// the lock of a run that has not said that it is over: whoever may open the lock's file
// can see that, up to the file server's lease after the node has lost its power.
//
// The record is the user's, who can have his own folder called live.
func (f *Folder) Live() (Living, bool) {
	o, err := f.ReadOwner()
	if err != nil || o.Ended != nil || !o.isOf(f) {
		return Living{}, false
	}
	here := ThisNode("", "")
	if o.Node.Boot == here.Boot && here.Boot != "" && (o.Node.PIDs == "" || o.Node.PIDs == here.PIDs) && !hidden() {
		pid := o.solver()
		return Living{o.Since, fmt.Sprintf("its solver, process %d, lives on this machine", pid)}, pid != 0
	}
	if !f.isLocked(o.Run) {
		return Living{}, false
	}
	return Living{o.Since, fmt.Sprintf("%s on %s holds the folder's lock", o, o.Node)}, true
}

// isOf reports whether the record is that of this very folder, not of one that it is a
// copy of. Other machines may know the file system by another number.
func (o Owner) isOf(f *Folder) bool {
	id := f.ID()
	if o.Dir == nil || o.Dir.Inode != id.Ino {
		return false
	}
	return o.Dir.Device == id.Dev || o.Node.Boot != ThisNode("", "").Boot
}

// solver is the process id of the run's solver, which lives on this machine; 0 where it
// does not.
func (o Owner) solver() int {
	for _, p := range o.Processes {
		if p.Solver && (procfs.Identity{PID: p.PID, StartTicks: p.StartTicks, BootID: o.Node.Boot}).Alive(procfs.Root) {
			return p.PID
		}
	}
	return 0
}

// hidden reports whether /proc hides the processes of others (hidepid in proc(5)): the
// first is always there.
func hidden() bool {
	_, err := procfs.ReadStat(procfs.Root, 1)
	return err != nil
}

// isLocked reports whether a process, on whatever machine, holds the folder's lock, and
// the run has not ended by what is written there.
func (f *Folder) isLocked(run string) bool {
	lock, err := f.Open(LockFile)
	if err != nil {
		return false
	}
	defer lock.Close()
	// It takes nothing: a start that looks at the same moment finds the folder free.
	probe := unix.Flock_t{Type: unix.F_WRLCK}
	err = retry(func() error { return unix.FcntlFlock(lock.Fd(), unix.F_OFD_GETLK, &probe) })
	return err == nil && probe.Type != unix.F_UNLCK && readEndMark(lock) != run
}
