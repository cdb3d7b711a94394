// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package killfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

func openFolder(t *testing.T, dir string) *rundir.Folder {
	t.Helper()
	folder, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}

func mustSwitch(t *testing.T, text string) lsdyna.Switch {
	t.Helper()
	sw, err := lsdyna.ParseSwitch(text)
	must.NoError(t, err)
	return sw
}

func content(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, lsdyna.KillFile))
	must.NoError(t, err)
	return string(data)
}

func TestWrite_theSolverTakesIt(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	must.NoError(t, Write(folder, mustSwitch(t, "sw3")))
	must.Eq(t, "sw3.\n", content(t, dir))
	sw, there, err := Read(folder)
	must.NoError(t, err)
	must.True(t, there)
	must.Eq(t, mustSwitch(t, "sw3"), sw)

	must.ErrorIs(t, Write(folder, mustSwitch(t, "sw4")), ErrPending)
	must.NoError(t, Write(folder, mustSwitch(t, "sw1")), must.Sprint("a stop replaces what is pending"))
	must.Eq(t, "sw1.\n", content(t, dir))
	stop, err := lsdyna.ParseStop("swz")
	must.NoError(t, err)
	must.NoError(t, Write(folder, stop), must.Sprint("so does one that only the job says to be one"))
	must.Eq(t, "swz.\n", content(t, dir))

	must.NoError(t, os.Remove(filepath.Join(dir, lsdyna.KillFile))) // as the solver does
	_, there, err = Read(folder)
	must.NoError(t, err)
	must.False(t, there)
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.SliceEmpty(t, entries, must.Sprint("nothing is left behind"))
}

func TestWriteSwitch_followsNoLinkAndBlocksOnNothing(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	target := filepath.Join(t.TempDir(), "target")
	must.NoError(t, os.WriteFile(target, []byte("precious"), 0o644))
	for name, plant := range map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(target, path) },
		"dangling link": func(path string) error { return os.Symlink("/nowhere/at/all", path) },
		"fifo":          func(path string) error { return unix.Mkfifo(path, 0o644) },
	} {
		must.NoError(t, plant(filepath.Join(dir, lsdyna.KillFile)), must.Sprint(name))
		must.NoError(t, Write(folder, mustSwitch(t, "sw4")), must.Sprint(name))
		info, err := os.Lstat(filepath.Join(dir, lsdyna.KillFile))
		must.NoError(t, err)
		must.True(t, info.Mode().IsRegular())
		must.NoError(t, Clear(folder))
	}
	data, err := os.ReadFile(target)
	must.NoError(t, err)
	must.Eq(t, "precious", string(data))

	must.NoError(t, os.Mkdir(filepath.Join(dir, lsdyna.KillFile), 0o755))
	must.Error(t, Write(folder, mustSwitch(t, "sw1")))
}

func TestWrite_writesOnlySwitches(t *testing.T) {
	dir := t.TempDir()
	must.Error(t, Write(openFolder(t, dir), lsdyna.Switch{Name: "sw1.\nrm"}))
	must.FileNotExists(t, filepath.Join(dir, lsdyna.KillFile))
}

func TestClear_isQuietWhenThereIsNone(t *testing.T) {
	must.NoError(t, Clear(openFolder(t, t.TempDir())))
}

// Some solvers leave d3kil; but somebody else may have put another switch there since.
func TestRemove_takesItsOwnSwitchOnly(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		stays   bool
	}{
		"its own":            {"sw3.\n", false},
		"as people write it": {" SW3 \r\nx", false},
		"another":            {"sw4.\n", true},
		"no switch":          {"\x00!", true},
		"none":               {"", true},
		"very long":          {strings.Repeat("x", 1<<20), true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, lsdyna.KillFile)
			must.NoError(t, os.WriteFile(path, []byte(c.content), 0o644))
			must.NoError(t, Remove(openFolder(t, dir), mustSwitch(t, "sw3")))
			_, err := os.Lstat(path)
			must.Eq(t, c.stays, err == nil)
		})
	}
	must.NoError(t, Remove(openFolder(t, t.TempDir()), mustSwitch(t, "sw3")))
}
