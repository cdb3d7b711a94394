// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// Where no lock keeps several runs apart, what a file system does for one alone has to:
// it creates a name once. So whoever replaces a record first creates the turn after it,
// a file named for that record, which says what process is in the turn. Of many that want
// to come after the same record one gets its turn, and a record is replaced by rename: there
// is no moment without one. Nobody comes after a record that is not in the folder any
// more, which is looked at again in the turn: a turn ends after the rename, so whoever
// gets a turn that was somebody's before finds another record there.
//
// Whoever dies in its turn leaves it behind, and is succeeded in the same way. That is
// judged by its process alone: what a run is about to say of itself, be it that it has
// ended, is not said before the turn is over.

// turnPrefix begins the names of the files of turns.
const turnPrefix = OwnerFile + ".after-"

// turnAfter names the turn after a record that is in the file of the given name. What a
// run says of itself changes, its name and its start do not.
func turnAfter(file string, o Owner) string {
	of := sha256.Sum256([]byte(file + "\n" + o.Run + "\n" + o.Since.UTC().Format(time.RFC3339Nano)))
	return fmt.Sprintf("%s%x", turnPrefix, of[:12])
}

// isSame reports whether two records say the same.
func (o Owner) isSame(other Owner) bool {
	one, err := o.encode()
	two, errOther := other.encode()
	return err == nil && errOther == nil && bytes.Equal(one, two)
}

// claimExclusively makes OwnerFile this run's. before is the record that was judged over;
// nil for none.
func (f *Folder) claimExclusively(o Owner, before *Owner) error {
	if before != nil {
		return f.succeed(*before, o)
	}
	data, err := o.encode()
	if err != nil {
		return err
	}
	return f.create(OwnerFile, data)
}

// rewriteExclusively changes what the record says of the run that has the folder.
func (f *Folder) rewriteExclusively(o Owner) error {
	before, err := f.ReadOwner()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f.claimExclusively(o, nil)
	case errors.Is(err, errBadOwner):
		return f.writeOwner(o)
	case err != nil:
		return err
	case before.Run != o.Run:
		return &OwnedError{Folder: f.Path(), Owner: before, Since: true}
	}
	return f.succeed(before, o)
}

// succeed replaces the record of a run that is over, or the run's own. The error is
// unix.EEXIST where another record is there by now: judge again.
func (f *Folder) succeed(before, o Owner) error {
	data, err := o.encode()
	if err != nil {
		return err
	}
	holder := &o.Run
	claimedHere.Store(holder, o.Run)
	defer claimedHere.Delete(holder)
	turns, err := f.takeTurn(before, o)
	if err != nil {
		return err
	}
	own := len(turns) - 1
	if err = f.checkTurn(before, turns[:own]); err == nil {
		err = f.WriteFile(OwnerFile, data)
	}
	if err != nil {
		turns = turns[own:] // those before are in the way of others as before
	}
	for _, t := range turns {
		_ = unix.Unlinkat(f.Fd(), t.name, 0) // a leftover is succeeded by the next
	}
	return err
}

// turn is the file of a turn, with what was read there or written.
type turn struct {
	name string
	of   Owner
}

// maxTurns bounds how many runs in a row died in their turn.
const maxTurns = 32

// takeTurn creates the turn after a record, or after those who died in theirs. It returns
// the turns of these, and its own as the last.
func (f *Folder) takeTurn(before, o Owner) ([]turn, error) {
	inTurn, err := o.inTurn()
	if err != nil {
		return nil, err
	}
	data, err := inTurn.encode()
	if err != nil {
		return nil, err
	}
	var turns []turn
	for after := OwnerFile; len(turns) < maxTurns; {
		name := turnAfter(after, before)
		err := f.create(name, data)
		if err == nil {
			return append(turns, turn{name, inTurn}), nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		has, err := f.readOwner(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, unix.EEXIST // it has just ended
		case errors.Is(err, errBadOwner):
			return nil, &OwnedError{Folder: f.Path()}
		case err != nil:
			return nil, err
		case !has.isGone(inTurn.Node):
			return nil, &OwnedError{Folder: f.Path(), Owner: has}
		}
		turns = append(turns, turn{name, has})
		after, before = name, has
	}
	return nil, &OwnedError{Folder: f.Path()}
}

// checkTurn looks in a turn whether it is one: the record must be the one that was judged,
// and whoever seemed to have died in a turn may have ended it meanwhile instead.
func (f *Folder) checkTurn(before Owner, passed []turn) error {
	for _, t := range append([]turn{{OwnerFile, before}}, passed...) {
		now, err := f.readOwner(t.name)
		if errors.Is(err, os.ErrNotExist) || err == nil && !now.isSame(t.of) {
			return unix.EEXIST
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inTurn is the record of this process in a turn of the run.
func (o Owner) inTurn() (Owner, error) {
	self, err := thisProcess()
	o.Node = ThisNode(o.Node.ID, o.Node.Name)
	o.Processes, o.Cgroup, o.Ended, o.Turn = []Process{self}, "", nil, rand.Text()
	return o, err
}

// thisProcess has this process's rights, whatever those of the caller: /proc may hide it.
var thisProcess = sync.OnceValues(func() (self Process, err error) {
	known := make(chan struct{})
	go func() {
		self.PID = os.Getpid()
		self.StartTicks, err = procfs.StartTicks(procfs.Root, self.PID)
		close(known)
	}()
	<-known
	return self, err
})

// turns are the names of all turns in the folder.
func (f *Folder) turns() (names []string, err error) {
	dir, err := f.Dir()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for {
		batch, err := dir.Readdirnames(1024)
		for _, name := range batch {
			if strings.HasPrefix(name, turnPrefix) {
				names = append(names, name)
			}
		}
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// create makes a file with its content. Of several one creates it; for the others the
// error is unix.EEXIST.
func (f *Folder) create(name string, data []byte) error {
	temp := fmt.Sprintf("%s.%d.%s", OwnerFile, os.Getpid(), rand.Text())
	if err := f.WriteFile(temp, data); err != nil {
		return err
	}
	dir := f.Fd()
	defer unix.Unlinkat(dir, temp, 0) //nolint:errcheck // it is gone, or a leftover that harms nobody
	err := unix.Linkat(dir, temp, dir, name, 0)
	if err == nil || errors.Is(err, unix.EEXIST) {
		return err
	}
	return f.createInPlace(name, data) // a file system without hard links
}

func (f *Folder) createInPlace(name string, data []byte) error {
	fd, err := unix.Openat(f.Fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = unix.Unlinkat(f.Fd(), name, 0) // a part of it would be a damaged record
	}
	return err
}
