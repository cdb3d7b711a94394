// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	folder, err := Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must.NoError(t, err)
	_, err = file.WriteString(text)
	must.NoError(t, err)
	must.NoError(t, file.Close())
}

func TestOpen_staysBelowItsBase(t *testing.T) {
	base := t.TempDir()
	outside := t.TempDir()
	must.NoError(t, os.MkdirAll(filepath.Join(base, "local", "run"), 0o755))
	must.NoError(t, os.Symlink(outside, filepath.Join(base, "out")))
	must.NoError(t, os.Symlink("local", filepath.Join(base, "inside")))
	write(t, base, "file", "x")

	for _, rel := range []string{".", "local", "local/run", "./local/./run/", "local/run/../run"} {
		folder, err := Open(base, rel)
		must.NoError(t, err, must.Sprint(rel))
		must.Eq(t, filepath.Join(base, rel), folder.Path())
		must.NoError(t, folder.Close())
	}
	for _, rel := range []string{"", "..", "../x", "/etc", "out", "out/x", "inside", "inside/run", "file", "local/../..", "missing"} {
		_, err := Open(base, rel)
		must.Error(t, err, must.Sprint(rel))
	}
}

// oddThings creates one entry of every kind that is not a regular file.
func oddThings(t *testing.T, dir string) []string {
	t.Helper()
	secret := write(t, t.TempDir(), "secret", " N o r m a l    t e r m i n a t i o n\n")
	must.NoError(t, os.Symlink(secret, filepath.Join(dir, "link")))
	must.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "device")))
	must.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return []string{"link", "device", "folder", "fifo", "socket"}
}

func TestFolder_opensRegularFilesOnlyAndNeverBlocks(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	for _, name := range oddThings(t, dir) {
		opened := make(chan error, 1)
		go func() {
			_, err := folder.Open(name)
			opened <- err
		}()
		select {
		case err := <-opened:
			must.ErrorIs(t, err, ErrNotRegular, must.Sprint(name))
		case <-time.After(10 * time.Second):
			t.Fatalf("blocked on %s", name)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a\x00b"} {
		_, err := folder.Open(name)
		must.Error(t, err, must.Sprint(name))
	}
	_, err := folder.Open("missing")
	must.ErrorIs(t, err, os.ErrNotExist)
}

func TestFolder_followsTheFolderNotItsPath(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "run")
	must.NoError(t, os.Mkdir(dir, 0o755))
	write(t, dir, "messag", "mine")
	folder, err := Open(base, "run")
	must.NoError(t, err)
	defer folder.Close()

	must.NoError(t, os.Rename(dir, filepath.Join(base, "moved")))
	must.NoError(t, os.Symlink("/etc", dir))
	_, err = folder.Open("passwd")
	must.ErrorIs(t, err, os.ErrNotExist)
	file, err := folder.Open("messag")
	must.NoError(t, err)
	must.NoError(t, file.Close())
}

func TestCheckInput_tellsTheUserWhatToDo(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "run")
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	write(t, dir, "main.k", "*KEYWORD\n")
	write(t, dir, "empty.k", "")
	write(t, filepath.Join(dir, "sub"), "deck.k", "*KEYWORD\n")
	write(t, base, "outside.k", "*KEYWORD\n")
	must.NoError(t, os.Symlink("main.k", filepath.Join(dir, "link.k")))
	must.NoError(t, os.Symlink("../outside.k", filepath.Join(dir, "out.k")))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo.k"), 0o644))
	folder := openFolder(t, dir)

	for _, name := range []string{"main.k", "sub/deck.k", "link.k"} {
		must.NoError(t, folder.CheckInput(name), must.Sprint(name))
	}
	for name, words := range map[string]string{
		"missing.k": "not in the run folder", "empty.k": "empty", "out.k": "cannot be used", "fifo.k": "not a regular file",
		"sub": "not a regular file", "../outside.k": "leads out", "a b.k": "blank",
	} {
		must.ErrorContains(t, folder.CheckInput(name), words, must.Sprint(name))
	}
}

func TestSnapshot_recordsOutputsOnly(t *testing.T) {
	dir := t.TempDir()
	oddThings(t, dir)
	write(t, dir, "messag", "hello")
	write(t, dir, "main.k", "*KEYWORD")
	write(t, dir, "log.txt", "text")
	must.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "d3hsp")))
	outputs, err := openFolder(t, dir).Snapshot(t.Context(), "", "log.txt", "stdout")
	must.NoError(t, err)
	must.MapLen(t, 2, outputs)
	must.Eq(t, 5, outputs["messag"].Size)
	must.MapContainsKey(t, outputs, "log.txt")
}

func TestErrNotRegular_namesTheFile(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "messag"), 0o755))
	_, err := openFolder(t, dir).Open("messag")
	var path *os.PathError
	must.True(t, errors.As(err, &path))
	must.Eq(t, filepath.Join(dir, "messag"), path.Path)
}
