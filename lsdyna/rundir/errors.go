// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

var (
	// ErrNoAnswer is wrapped when a request's deadline has passed: the file system
	// does not answer.
	ErrNoAnswer = errors.New("the run folder does not answer")

	// ErrNotOpen is wrapped when the folder cannot be opened.
	ErrNotOpen = errors.New("the run folder cannot be opened")
)

// openError is an ErrNotOpen that reads like its cause.
type openError struct{ error }

// NotOpen makes the error of an opening an ErrNotOpen.
func NotOpen(err error) error { return openError{err} }

func (e openError) Unwrap() error        { return e.error }
func (e openError) Is(target error) bool { return target == ErrNotOpen }

// failures are what a file system says that lost its server, or its disk, or that is
// full.
var failures = []error{
	ErrNoAnswer, context.DeadlineExceeded,
	unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.ETIMEDOUT, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ECONNREFUSED, unix.ECONNRESET, unix.ECONNABORTED,
}

// Unreadable reports whether an error says that the folder could not be read at
// all, or not be written, so that nothing follows from it: it could not be opened, or
// its file system failed, did not answer, or was full. A file that is missing, or that
// is none, is not of that kind.
func Unreadable(err error) bool { return errors.Is(err, ErrNotOpen) || Unavailable(err) }

// Unavailable reports whether an error says that the folder's file system failed, did
// not answer, or was full: a later try may succeed.
func Unavailable(err error) bool {
	return slices.ContainsFunc(failures, func(f error) bool { return errors.Is(err, f) })
}
