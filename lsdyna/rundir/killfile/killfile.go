// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package killfile is the file d3kil of a run folder, through which a solver takes
// sense switches. That it is gone does not prove that the solver took the switch, and
// that it is there does not prove that the solver did not: some leave it. What a switch
// did shows in the outputs alone.
package killfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// ErrPending is returned when an earlier switch was not taken yet.
var ErrPending = errors.New("an earlier sense switch was not taken yet; send it again when the solver has taken that one")

// Write puts a switch into the folder's d3kil, whole or not at all. A link, FIFO or device
// of that name is replaced, never followed. While an earlier switch is pending
// the error is ErrPending, unless the new one terminates the run: that
// one replaces it.
func Write(f *rundir.Folder, sw lsdyna.Switch) error {
	checked, err := lsdyna.ParseSwitch(sw.Name)
	if err != nil {
		return err
	}
	_, pending, err := Read(f)
	if err != nil {
		return err
	}
	if pending && !checked.Terminates && !sw.Terminates {
		return ErrPending
	}
	if err := f.WriteFile(lsdyna.KillFile, []byte(checked.Name+"\n")); err != nil {
		return fmt.Errorf("send sense switch %s: %w", checked.Name, err)
	}
	return nil
}

// maxContent bounds what is read of a d3kil, in bytes.
const maxContent = 256

// Read returns the switch that lies in the folder, and whether any does. Of one that is
// no switch, or cannot be read, nothing but that it is there is known.
func Read(f *rundir.Folder) (sw lsdyna.Switch, there bool, err error) {
	file, err := f.Open(lsdyna.KillFile)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, rundir.ErrNotRegular):
		return sw, false, nil
	case errors.Is(err, os.ErrPermission):
		return sw, true, nil // somebody else's
	case err != nil:
		return sw, false, fmt.Errorf("look for a pending sense switch: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxContent))
	if err != nil {
		return sw, false, fmt.Errorf("read the pending sense switch: %w", err)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	sw, err = lsdyna.ParseSwitch(word)
	if err != nil {
		return lsdyna.Switch{}, true, nil //nolint:nilerr // it is somebody else's, and stays
	}
	return sw, true, nil
}

// Clear removes whatever d3kil there is. It is for the moment before a start, and after
// an end: a d3kil of an earlier run would stop the new one at once.
func Clear(f *rundir.Folder) error {
	err := unix.Unlinkat(f.Fd(), lsdyna.KillFile, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	return &os.PathError{Op: "remove", Path: filepath.Join(f.Path(), lsdyna.KillFile), Err: err}
}

// Remove removes a switch that has had its effect, where it still lies there. What
// somebody else has put there since stays.
func Remove(f *rundir.Folder, sw lsdyna.Switch) error {
	if now, there, err := Read(f); err != nil || !there || now.Name != sw.Name {
		return err
	}
	return Clear(f)
}
