// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package member

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// The last node of an earlier run may remove the folder between its making and the
// writing.
func TestInFolder_MakesItAgain(t *testing.T) {
	run, tries := t.TempDir(), 0
	must.NoError(t, InFolder(run, func(dir string) error {
		if tries++; tries == 1 {
			must.NoError(t, os.Remove(dir))
		}
		return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600)
	}))
	must.Eq(t, 2, tries)
	must.ErrorIs(t, InFolder(run, func(string) error { return fs.ErrNotExist }), fs.ErrNotExist)
	must.ErrorIs(t, InFolder(filepath.Join(run, "away"), func(string) error { return nil }), fs.ErrNotExist)
}

// Whoever can write into the folder would say which nodes a run has: it is neither read
// nor written where others made it.
func TestFolder_OfOthersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"a link": {func(t *testing.T, dir string) {
			must.NoError(t, os.Rename(dir, dir+".x"))
			must.NoError(t, os.Symlink(dir+".x", dir))
		}, "is a symbolic link"},
		"a link to nothing": {func(t *testing.T, dir string) {
			must.NoError(t, os.RemoveAll(dir))
			must.NoError(t, os.Symlink(dir+".x", dir))
		}, "is a symbolic link"},
		"a file": {func(t *testing.T, dir string) {
			must.NoError(t, os.RemoveAll(dir))
			must.NoError(t, os.WriteFile(dir, nil, 0o600))
		}, "is no folder"},
		"its group may write":  {func(t *testing.T, dir string) { must.NoError(t, os.Chmod(dir, 0o770)) }, "can be written by others (drwxrwx---)"},
		"everybody may write":  {func(t *testing.T, dir string) { must.NoError(t, os.Chmod(dir, 0o1777)) }, "can be written by others"},
		"it is another user's": {func(t *testing.T, dir string) { giveAway(t, dir) }, "is not the run's user's (uid 4242, and he is uid 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			first := record(1)
			must.NoError(t, Write(run, first))
			c.spoil(t, filepath.Join(run, Folder))
			before := entries(t, run)
			must.ErrorContains(t, Write(run, record(1)), c.want)
			_, err := Read(run, testRun, 1)
			must.ErrorContains(t, err, c.want)
			must.ErrorContains(t, err, "remove it while no run uses the folder")
			must.ErrorContains(t, Remove(run, first), c.want)
			must.ErrorContains(t, CheckFolder(run), c.want)
			must.Eq(t, before, entries(t, run))
		})
	}
}

// The files are its user's alone, whoever may see their names.
func TestFolder_MayBeSeenByOthers(t *testing.T) {
	run := t.TempDir()
	must.NoError(t, Write(run, record(1)))
	must.NoError(t, os.Chmod(filepath.Join(run, Folder), 0o755))
	_, err := Read(run, testRun, 1)
	must.NoError(t, err)
}

func giveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	must.NoError(t, os.Chown(path, 4242, -1))
}

// entries are the names of all that is below a folder.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	must.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}
