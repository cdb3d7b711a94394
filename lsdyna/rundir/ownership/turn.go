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
	"time"

	"golang.org/x/sys/unix"
)

// Where no lock keeps several runs apart, what a file system does for one alone has to:
// it creates a name once. So whoever replaces a record first creates the turn after it,
// a file named for that record, with the record that is to come. Of many that want to
// come after the same record one gets its turn, and a record is replaced by rename: there
// is no moment without one. Nobody comes after a record that is not in the folder any
// more, which is looked at again in the turn: a turn ends after the rename, so whoever
// gets a turn that was somebody's before finds another record there.
//
// Whoever dies in its turn leaves it behind. The record in it tells whose it was, and it
// is succeeded as the record of any run that is over.

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
	turn, passed, err := f.takeTurn(before, o, data)
	if err != nil {
		return err
	}
	now, err := f.ReadOwner()
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && !now.isSame(before):
		err = unix.EEXIST
	case err == nil:
		err = f.WriteFile(OwnerFile, data)
	}
	if err != nil {
		passed = nil // they are in the way of others as before
	}
	for _, name := range append(passed, turn) {
		_ = unix.Unlinkat(f.Fd(), name, 0) // a leftover is succeeded by the next
	}
	return err
}

// maxTurns bounds how many runs in a row died in their turn.
const maxTurns = 32

// takeTurn creates the turn after a record, or after those who died in theirs. passed are
// the turns of these.
func (f *Folder) takeTurn(before, o Owner, data []byte) (turn string, passed []string, err error) {
	for after := OwnerFile; len(passed) < maxTurns; after = turn {
		turn = turnAfter(after, before)
		err := f.create(turn, data)
		if err == nil {
			return turn, passed, nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return "", nil, err
		}
		has, err := f.readOwner(turn)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return "", nil, unix.EEXIST // it has just ended
		case errors.Is(err, errBadOwner):
			return "", nil, &OwnedError{Folder: f.Path()}
		case err != nil:
			return "", nil, err
		case !has.isOver(o, ""):
			return "", nil, &OwnedError{Folder: f.Path(), Owner: has}
		}
		passed = append(passed, turn)
		before = has
	}
	return "", nil, &OwnedError{Folder: f.Path()}
}

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
	return errors.Join(err, file.Close())
}
