// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// ErrSwitchPending is returned when an earlier switch was not taken yet.
var ErrSwitchPending = errors.New("an earlier sense switch was not taken yet; send it again when the solver has taken that one")

// WriteSwitch puts a switch into the folder's d3kil, whole or not at all. A link, FIFO or device
// of that name is replaced, never followed. While an earlier switch is pending
// the error is ErrSwitchPending, unless the new one terminates the run: that
// one replaces it.
func (f *Folder) WriteSwitch(sw lsdyna.Switch) error {
	checked, err := lsdyna.ParseSwitch(sw.Name)
	if err != nil {
		return err
	}
	pending, err := f.SwitchPending()
	if err != nil {
		return err
	}
	if pending && !checked.Terminates {
		return ErrSwitchPending
	}
	if err := f.replace(lsdyna.KillFile, []byte(checked.Name+"\n"), 0o644, transient); err != nil {
		return fmt.Errorf("send sense switch %s: %w", checked.Name, err)
	}
	return nil
}

// SwitchPending reports whether a switch is in the folder that the solver has not
// taken. After WriteSwitch, false means that the solver took it.
func (f *Folder) SwitchPending() (bool, error) {
	_, err := f.stat(lsdyna.KillFile)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, ErrNotRegular):
		return false, nil
	}
	return false, fmt.Errorf("look for a pending sense switch: %w", err)
}

// ClearSwitch removes a switch that no solver took. It is for the moment before a
// start: a d3kil of an earlier run would stop the new one at once.
func (f *Folder) ClearSwitch() error {
	err := unix.Unlinkat(int(f.dir.Fd()), lsdyna.KillFile, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	return &os.PathError{Op: "remove", Path: filepath.Join(f.path, lsdyna.KillFile), Err: err}
}
