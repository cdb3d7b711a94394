// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

func mustSwitch(t *testing.T, text string) Switch {
	t.Helper()
	sw, err := ParseSwitch(text)
	must.NoError(t, err)
	return sw
}

func TestParseSwitch(t *testing.T) {
	for text, want := range map[string]string{"sw1": "sw1.", " SW3. ": "sw3.", "stop": "stop", "Quit": "quit", "endtime=0.02": "endtime=0.02", "ENDTIME=1E-2": "endtime=1e-2", "swd": "swd."} {
		must.Eq(t, want, mustSwitch(t, text).Name)
	}
	for _, text := range []string{"", ".", "sw5", "sw9", "stop.", "endtime=", "endtime=-1", "endtime=0", "endtime=1 2", "endtime=x", "sw1\nstop", "kill -9 1"} {
		_, err := ParseSwitch(text)
		must.Error(t, err, must.Sprintf("%q", text))
	}
	must.True(t, mustSwitch(t, "sw1").Dumps && mustSwitch(t, "sw1").Terminates)
	must.True(t, mustSwitch(t, "sw3").Dumps && !mustSwitch(t, "sw3").Terminates)
	must.True(t, !mustSwitch(t, "stop").Dumps && mustSwitch(t, "stop").Terminates)
}

func TestWriteSwitch_theSolverTakesIt(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw3"), NoOwner))
	data, err := os.ReadFile(filepath.Join(dir, KillFile))
	must.NoError(t, err)
	must.Eq(t, "sw3.\n", string(data))
	pending, err := folder.SwitchPending()
	must.NoError(t, err)
	must.True(t, pending)

	must.ErrorIs(t, folder.WriteSwitch(mustSwitch(t, "sw4"), NoOwner), ErrSwitchPending)
	must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw1"), NoOwner), must.Sprint("a stop replaces what is pending"))
	data, err = os.ReadFile(filepath.Join(dir, KillFile))
	must.NoError(t, err)
	must.Eq(t, "sw1.\n", string(data))

	must.NoError(t, os.Remove(filepath.Join(dir, KillFile))) // as the solver does
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
		must.NoError(t, plant(filepath.Join(dir, KillFile)), must.Sprint(name))
		must.NoError(t, folder.WriteSwitch(mustSwitch(t, "sw4"), NoOwner), must.Sprint(name))
		info, err := os.Lstat(filepath.Join(dir, KillFile))
		must.NoError(t, err)
		must.True(t, info.Mode().IsRegular())
		must.NoError(t, folder.ClearSwitch())
	}
	data, err := os.ReadFile(target)
	must.NoError(t, err)
	must.Eq(t, "precious", string(data))

	must.NoError(t, os.Mkdir(filepath.Join(dir, KillFile), 0o755))
	must.Error(t, folder.WriteSwitch(mustSwitch(t, "sw1"), NoOwner))
}

func TestWriteSwitch_belongsToTheTasksUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to give files away")
	}
	dir := t.TempDir()
	must.NoError(t, openFolder(t, dir).WriteSwitch(mustSwitch(t, "sw1"), Owner{UID: 65534, GID: 65534}))
	var st unix.Stat_t
	must.NoError(t, unix.Lstat(filepath.Join(dir, KillFile), &st))
	must.Eq(t, 65534, st.Uid)
	must.Eq(t, 65534, st.Gid)
}

func TestWriteSwitch_writesOnlySwitches(t *testing.T) {
	dir := t.TempDir()
	must.Error(t, openFolder(t, dir).WriteSwitch(Switch{Name: "sw1.\nrm"}, NoOwner))
	must.FileNotExists(t, filepath.Join(dir, KillFile))
}

func TestClearSwitch_isQuietWhenThereIsNone(t *testing.T) {
	must.NoError(t, openFolder(t, t.TempDir()).ClearSwitch())
}

func FuzzParseSwitch(f *testing.F) {
	for _, s := range []string{"sw1", "SW3.", "stop", "endtime=1e-3", "endtime=", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sw, err := ParseSwitch(text)
		if err != nil {
			return
		}
		again, err := ParseSwitch(sw.Name)
		must.NoError(t, err)
		must.Eq(t, sw, again)
		for _, c := range sw.Name {
			must.True(t, c > ' ' && c < 0x7f)
		}
	})
}
