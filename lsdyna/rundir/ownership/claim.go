// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// LockFile is the file in the run folder whose lock a run holds for all of its life:
// through its supervisor, through the plugin, or both. It is locked by flock(2) and by
// an open file description lock of fcntl(2), because not every file system hands both
// on to its server, and two nodes may reach it in different ways. Its content is the
// durable.EndMark of the last run whose supervisor saw its end.
const LockFile = ".lsdyna-run.lock"

// OwnedError says that another run has the folder.
type OwnedError struct {
	Folder string
	Owner  Owner // zero where the folder does not tell
	Locked bool  // a living process holds the lock
	Since  bool  // the owner came after the run that asks
	Over   bool  // the owner's processes are gone, but not for long
}

func (e *OwnedError) Error() string {
	const destroy = "two solvers in one folder destroy each other's results"
	known := e.Owner.Run != ""
	since := e.Owner.Since.Local().Format(time.DateTime)
	switch {
	case e.Since:
		return fmt.Sprintf("%s on %s has had the run folder since %s", e.Owner, e.Owner.Node, since)
	case e.Over:
		return fmt.Sprintf("%s on %s has just ended there, and its last outputs are being read", e.Owner, e.Owner.Node)
	case e.Locked && known:
		return fmt.Sprintf("%s runs there on %s since %s; %s", e.Owner, e.Owner.Node, since, destroy)
	case e.Locked:
		return fmt.Sprintf("a process that is not known holds the lock %s there; %s", LockFile, destroy)
	case known:
		return fmt.Sprintf("%s runs there on %s since %s, and nothing proves that it has ended; %s. If that node is gone for good and no solver is left in the folder, the operator releases it: nomad-driver-lsdyna release-folder %s",
			e.Owner, e.Owner.Node, since, destroy, e.Folder)
	}
	return fmt.Sprintf("%s there is damaged, and the file system has no locks that would tell whether a run is there; if none is, the operator releases it: nomad-driver-lsdyna release-folder %s", OwnerFile, e.Folder)
}

// Claim is a run's hold on its folder. It belongs to one goroutine.
type Claim struct {
	folder *Folder
	lock   *os.File
	locked bool // the lock works here
	owner  Owner
}

// errLockMoved: LockFile was replaced while it was being locked.
var errLockMoved = errors.New("the lock file was replaced")

// claimTries bounds how often a claim begins anew because somebody else did something
// at the same moment.
const claimTries = 5

// Claim takes the folder for a run. The error is an *OwnedError while another run has
// it. Call it with the rights of the task's user.
func (f *Folder) Claim(o Owner) (*Claim, error) {
	var err error
	for range claimTries {
		var c *Claim
		if c, err = f.claim(o); err == nil {
			return c, nil
		}
		if !errors.Is(err, errLockMoved) && !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if errors.Is(err, unix.EEXIST) {
		o, _ = f.ReadOwner()
		err = &OwnedError{Folder: f.Path(), Owner: o, Locked: true} // others take it all the time
	}
	return nil, err
}

func (f *Folder) claim(o Owner) (*Claim, error) {
	lock, works, err := f.takeLock()
	if err != nil {
		return nil, err
	}
	before, err := f.judge(o, readEndMark(lock), works)
	c := &Claim{folder: f, lock: lock, locked: works, owner: o}
	claimedHere.Store(c, o.Run) // before others can read its record
	if err == nil && works {
		err = f.writeOwner(o)
	} else if err == nil {
		err = f.claimExclusively(o, before)
	}
	if err != nil {
		claimedHere.Delete(c)
		_ = unlock(lock)
		return nil, err
	}
	_ = lock.Truncate(0) // whose end it marked is not the owner any more
	return c, nil
}

// Keep is Claim for a run that is over, and whose supervisor is gone: nobody else
// gets the folder while its outputs are read. There is no claim, and no error, where
// the folder is not the run's any more, or said to be left.
func (f *Folder) Keep(run string) (*Claim, error) {
	lock, works, err := f.takeLock()
	if err != nil {
		return nil, err
	}
	o, err := f.ReadOwner()
	if err != nil || o.Run != run || o.Ended != nil {
		return nil, errors.Join(err, unlock(lock))
	}
	return &Claim{folder: f, lock: lock, locked: works, owner: o}, nil
}

// claimedHere has the run of each Claim of this process. A run that is about to start
// has no other process that would show that it lives.
var claimedHere sync.Map

func isClaimedHere(run string) (is bool) {
	claimedHere.Range(func(_, claimed any) bool {
		is = claimed == run
		return !is
	})
	return is
}

// judge reads who has the folder, by the record: it returns the record of a run that
// is over, nil where there is none, and an *OwnedError for one that may not be. With
// a lock that works nobody else can be in the middle of writing a record.
func (f *Folder) judge(wants Owner, ended string, works bool) (*Owner, error) {
	o, err := f.ReadOwner()
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errBadOwner) && works:
		return nil, nil
	case errors.Is(err, errBadOwner):
		return nil, &OwnedError{Folder: f.Path()}
	case err != nil:
		return nil, err
	case !o.isOver(wants, ended):
		return nil, &OwnedError{Folder: f.Path(), Owner: o}
	case f.isRead(o, wants):
		return nil, &OwnedError{Folder: f.Path(), Owner: o, Over: true}
	}
	return &o, nil
}

// Farewell is how long a run that is over, but has not said so, should keep its folder:
// its plugin may be about to read how it ended, and takes the lock for that.
const Farewell = 3 * time.Second

// isRead reports whether the plugin of a run that is over may still be reading its
// outputs. Nobody knows whether it has a plugin.
func (f *Folder) isRead(o, wants Owner) bool {
	switch {
	case f.Farewell == 0, o.Ended != nil:
		return false
	case o.Alloc == wants.Alloc && o.Task == wants.Task, o.InAlloc && wants.InAlloc:
		return false // a plugin knows about its own runs, and a copy is nobody's
	case o.Node.Boot != wants.Node.Boot && o.Node.isSameMachine(wants.Node):
		return false // it went with the machine
	}
	if f.over.run != o.Run {
		f.over = sighting{o.Run, time.Now()}
	}
	return time.Since(f.over.first) < f.Farewell
}

// sighting is when something was first seen of a run.
type sighting struct {
	run   string
	first time.Time
}

// takeLock opens LockFile and locks it without waiting. works is false where the file
// system has no locks; then the record alone decides.
func (f *Folder) takeLock() (lock *os.File, works bool, err error) {
	lock, err = f.openLock()
	if err != nil {
		return nil, false, err
	}
	works, err = tryLock(lock)
	if err == nil {
		err = f.checkLock(lock)
	}
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, errHeld) {
			owner, _ := f.ReadOwner()
			if owner.Ended != nil {
				owner = Owner{} // whoever holds the lock, that one has left
			}
			err = &OwnedError{Folder: f.Path(), Owner: owner, Locked: true}
		}
		return nil, false, err
	}
	return lock, works, nil
}

// lockMode keeps others than the owner and his group from LockFile: whoever can open
// it can hold its lock.
const lockMode = 0o660

// openLock opens LockFile.
func (f *Folder) openLock() (*os.File, error) {
	full := filepath.Join(f.Path(), LockFile)
	fd, err := unix.Openat(f.Fd(), LockFile, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, lockMode)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%s is not a regular file: remove it, if no run is in the folder", full)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("cannot lock the run folder: %w; if %s belongs to another user, have it removed when no run is in the folder", &os.PathError{Op: "open", Path: full, Err: err}, LockFile)
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: full, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file: remove it, if no run is in the folder", full))
	}
	if st.Mode&0o777 != lockMode {
		_ = unix.Fchmod(fd, lockMode) // the umask has cut it; another user's stays as it is
	}
	return os.NewFile(uintptr(fd), full), nil
}

// checkLock returns errLockMoved when LockFile is another file by now: its lock says
// nothing of ours.
func (f *Folder) checkLock(lock *os.File) error {
	var opened, named unix.Stat_t
	if err := unix.Fstat(int(lock.Fd()), &opened); err != nil {
		return err
	}
	err := unix.Fstatat(f.Fd(), LockFile, &named, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) || err == nil && (opened.Dev != named.Dev || opened.Ino != named.Ino) {
		return errLockMoved
	}
	return err
}

// errHeld: another process holds a lock.
var errHeld = errors.New("the lock is held")

// tryLock locks a file in both ways without waiting. It reports whether one of them
// works here. A variable for tests: there is no file system at hand without locks.
var tryLock = func(file *os.File) (works bool, err error) {
	return lockBoth(int(file.Fd()), flock, openFileLock)
}

// lockKind is a way of locking a file.
type lockKind struct{ take, give func(fd int) error }

var (
	flock = lockKind{
		take: func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }, //nolint:forbidigo // both kinds, in a folder that is not ours
		give: func(fd int) error { return unix.Flock(fd, unix.LOCK_UN) },              //nolint:forbidigo // likewise
	}
	openFileLock = lockKind{
		take: func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		},
		give: func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
		},
	}
)

// lockBoth locks a file in two ways. A server for which both are one kind of lock, as
// an SMB server, refuses the second although the first is the same file's: then it is
// locked in the second way alone, which whoever comes with the first meets, too.
func lockBoth(fd int, a, b lockKind) (works bool, err error) {
	first, err := a.try(fd)
	if err != nil {
		return false, err
	}
	second, err := b.try(fd)
	if first && errors.Is(err, errHeld) {
		_ = a.give(fd)
		first = false
		second, err = b.try(fd)
	}
	return (first || second) && err == nil, err
}

// try reports whether the file is locked this way now; it is not where the file system
// has no such locks.
func (k lockKind) try(fd int) (works bool, err error) {
	err = retry(func() error { return k.take(fd) })
	is := func(errno error) bool { return errors.Is(err, errno) }
	switch {
	case err == nil:
		return true, nil
	case is(unix.EWOULDBLOCK), is(unix.EACCES):
		return false, errHeld
	case slices.ContainsFunc(noLocks, is):
		return false, nil
	}
	return false, os.NewSyscallError("lock", err)
}

// noLocks is what a file system says that has no such locks.
var noLocks = []error{unix.ENOSYS, unix.ENOLCK, unix.EOPNOTSUPP, unix.EINVAL}

func retry(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unlock frees a lock, also for a process that has inherited it, and closes it.
func unlock(file *os.File) error {
	fd := int(file.Fd())
	_, _ = openFileLock.give(fd), flock.give(fd)
	return file.Close()
}

// readEndMark returns the run that LockFile says has ended, "" for none.
func readEndMark(lock *os.File) string {
	mark := make([]byte, maxEndMark)
	n, _ := lock.ReadAt(mark, 0)
	line, _, whole := strings.Cut(string(mark[:n]), "\n")
	run, ok := strings.CutPrefix(line, durable.EndMarkPrefix)
	if !ok || !whole {
		return ""
	}
	return run
}

// Lock returns a further descriptor of the lock, for a process that is to hold it,
// too. The caller closes it.
func (c *Claim) Lock() (*os.File, error) {
	fd, err := unix.FcntlInt(c.lock.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), c.lock.Name()), nil
}

// Owner returns what the record says of the run.
func (c *Claim) Owner() Owner { return c.owner }

// Update changes what the record says of the run.
func (c *Claim) Update(o Owner) error {
	c.owner = o
	if c.locked {
		return c.folder.writeOwner(o)
	}
	return c.folder.rewriteExclusively(o)
}

// Release gives the folder back: the run is over.
func (c *Claim) Release() error {
	defer claimedHere.Delete(c)
	err := c.folder.leave(c.owner.Run, c.locked)
	return errors.Join(err, unlock(c.lock))
}

// Drop closes this process's hold. The supervisor's stays.
func (c *Claim) Drop() {
	claimedHere.Delete(c)
	_ = c.lock.Close()
}

// A start that waits for the folder holds the lock for the moment of each look at who has
// it: whoever releases the folder tries for longer than that.
const (
	releasePatience = 3 * time.Second
	releasePause    = 50 * time.Millisecond
)

// insistOnLock takes the lock that a start may hold for a moment.
func (f *Folder) insistOnLock() (*os.File, error) {
	for over := time.After(releasePatience); ; {
		lock, _, err := f.takeLock()
		if _, ok := errors.AsType[*OwnedError](err); !ok {
			return lock, err
		}
		select {
		case <-over:
			return nil, err
		case <-time.After(releasePause):
		}
	}
}

// ReleaseOwner is the operator's word that no run is in the folder, whatever the
// record says. It returns what the record said. A lock that a living process holds is
// an *OwnedError.
func (f *Folder) ReleaseOwner() (Owner, error) {
	lock, err := f.insistOnLock()
	if err != nil {
		return Owner{}, err
	}
	defer unlock(lock) //nolint:errcheck // nothing was written to it
	o, err := f.ReadOwner()
	if err != nil && !errors.Is(err, errBadOwner) {
		return Owner{}, err
	}
	if o.Run != "" && o.Node.Boot == ThisNode("", "").Boot && o.Ended == nil && o.lives() {
		return o, &OwnedError{Folder: f.Path(), Owner: o, Locked: true}
	}
	turns, err := f.turns()
	if err != nil {
		return o, err
	}
	for _, name := range append([]string{OwnerFile}, turns...) {
		if err := unix.Unlinkat(f.Fd(), name, 0); err != nil && (name == OwnerFile || !errors.Is(err, unix.ENOENT)) {
			return o, &os.PathError{Op: "remove", Path: filepath.Join(f.Path(), name), Err: err}
		}
	}
	return o, nil
}
