// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

func mustSwitch(t *testing.T, text string) lsdyna.Switch {
	t.Helper()
	sw, err := lsdyna.ParseSwitch(text)
	must.NoError(t, err)
	return sw
}

func TestWriteSwitch_theSolverTakesIt(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw3")))
	data, err := os.ReadFile(filepath.Join(dir, lsdyna.KillFile))
	must.NoError(t, err)
	must.Eq(t, "sw3.\n", string(data))
	pending, err := folder.SwitchPending()
	must.NoError(t, err)
	must.True(t, pending)

	must.ErrorIs(t, folder.WriteSwitch(mustSwitch(t, "sw4")), ErrSwitchPending)
	must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw1")), must.Sprint("a stop replaces what is pending"))
	data, err = os.ReadFile(filepath.Join(dir, lsdyna.KillFile))
	must.NoError(t, err)
	must.Eq(t, "sw1.\n", string(data))

	must.NoError(t, os.Remove(filepath.Join(dir, lsdyna.KillFile))) // as the solver does
	pending, err = folder.SwitchPending()
	must.NoError(t, err)
	must.False(t, pending)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.SliceEmpty(t, entries, must.Sprint("nothing is left behind"))
}

func TestWriteSwitch_followsNoLinkAndBlocksOnNothing(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	target := write(t, t.TempDir(), "target", "precious")
	for name, plant := range map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(target, path) },
		"dangling link": func(path string) error { return os.Symlink("/nowhere/at/all", path) },
		"fifo":          func(path string) error { return unix.Mkfifo(path, 0o644) },
	} {
		must.NoError(t, plant(filepath.Join(dir, lsdyna.KillFile)), must.Sprint(name))
		must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw4")), must.Sprint(name))
		info, err := os.Lstat(filepath.Join(dir, lsdyna.KillFile))
		must.NoError(t, err)
		must.True(t, info.Mode().IsRegular())
		must.NoError(t, folder.ClearSwitch())
	}
	data, err := os.ReadFile(target)
	must.NoError(t, err)
	must.Eq(t, "precious", string(data))

	must.NoError(t, os.Mkdir(filepath.Join(dir, lsdyna.KillFile), 0o755))
	must.Error(t, folder.WriteSwitch(mustSwitch(t, "sw1")))
}

func TestWriteSwitch_writesOnlySwitches(t *testing.T) {
	dir := t.TempDir()
	must.Error(t, openFolder(t, dir).WriteSwitch(lsdyna.Switch{Name: "sw1.\nrm"}))
	must.FileNotExists(t, filepath.Join(dir, lsdyna.KillFile))
}

func TestClearSwitch_isQuietWhenThereIsNone(t *testing.T) {
	must.NoError(t, openFolder(t, t.TempDir()).ClearSwitch())
}
