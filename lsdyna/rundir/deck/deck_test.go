// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// filesIn is the files of a folder that does not fail.
func filesIn(t *testing.T, dir string) Files {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	open := func(name string) (*os.File, error) {
		if info, err := root.Stat(name); err == nil && !info.Mode().IsRegular() {
			return nil, errors.New("not a regular file")
		}
		return root.Open(name)
	}
	return Files{Open: open, Unavailable: func(error) bool { return false }}
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

func hashed(t *testing.T, files Files) string {
	t.Helper()
	deck, err := Read(t.Context(), files, "main.k", &Progress{})
	must.NoError(t, err)
	return deck.Hash
}

// Dumps that the version before has recorded are taken: the hash of a deck stays what
// it was.
func TestRead_isWhatItWas(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("1234567\n", chunkBytes/4) // two chunks
	main := "*KEYWORD\n*INCLUDE\nmesh.k\nmissing.k\n*INCLUDE\n/etc/passwd\nsome\x00zeros" + strings.Repeat("\x00", 100_000) + "\n"
	write(t, dir, "main.k", main)
	write(t, dir, "mesh.k", long+"*INCLUDE\nend.k")
	write(t, dir, "end.k", "")
	want := sha256.Sum256([]byte("\x00main.k\x00" + main + "\x00mesh.k\x00" + long + "*INCLUDE\nend.k" +
		"\x00missing.k\x00" + "\x00/etc/passwd\x00" + "\x00some\x00zeros" + strings.Repeat("\x00", maxLine-len("some\x00zeros")) + "\x00" + "\x00end.k\x00"))
	must.Eq(t, hex.EncodeToString(want[:]), hashed(t, filesIn(t, dir)))
}

// A hole and zeros that were written are the same; where they are, and how many they
// are, is not.
func TestRead_holesAreZeros(t *testing.T) {
	const m = chunkBytes
	deck := func(size int64, written ...string) string { // texts at 0, 4m, 8m, …
		dir := t.TempDir()
		file, err := os.Create(filepath.Join(dir, "main.k"))
		must.NoError(t, err)
		defer file.Close()
		must.NoError(t, file.Truncate(size))
		for i, text := range written {
			_, err := file.WriteAt([]byte(text), int64(i)*4*m)
			must.NoError(t, err)
		}
		return hashed(t, filesIn(t, dir))
	}
	zeros := string(make([]byte, 4*m-2))
	hole := deck(9*m+5, "a\n", "b\n", "c\n")
	must.Eq(t, hole, deck(9*m+5, "a\n"+zeros, "b\n"+zeros, "c\n"))
	must.Eq(t, hole, deck(9*m+5, "a\n", "b\n"+zeros[:2*m+7], "c\n"))
	for name, other := range map[string]string{
		"shorter":          deck(9*m+4, "a\n", "b\n", "c\n"),
		"another chunk":    deck(10*m+5, "a\n", "b\n", "c\n"),
		"another place":    deck(9*m+5, "a\n", strings.Repeat("\x00", m)+"b\n", "c\n"),
		"no text":          deck(9*m+5, "a\n", "", "c\n"),
		"one of the zeros": deck(9*m+5, "a\n", "b\n"+zeros[:m]+"x", "c\n"),
	} {
		must.NotEq(t, hole, other, must.Sprint(name))
	}
}

// What an include behind a hole names is seen.
func TestRead_readsOnBehindAHole(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "main.k"))
	must.NoError(t, err)
	must.NoError(t, file.Truncate(100<<30))
	_, err = file.WriteAt([]byte("\n*INCLUDE\nmesh.k\n"), 100<<30)
	must.NoError(t, err)
	must.NoError(t, file.Close())
	write(t, dir, "mesh.k", "*NODE\n")
	files := filesIn(t, dir)
	var progress Progress
	read, err := Read(t.Context(), files, "main.k", &progress)
	must.NoError(t, err)
	must.Less(t, 100, progress.Steps(), must.Sprint("the hole was read"))
	must.Greater(t, 100<<30, progress.Bytes())
	appendTo(t, filepath.Join(dir, "mesh.k"), "1\n")
	must.NotEq(t, read.Hash, hashed(t, files))
}

func TestRead_isBounded(t *testing.T) {
	sparse := func(t *testing.T, path string, size int64) {
		t.Helper()
		must.NoError(t, os.WriteFile(path, nil, 0o644))
		must.NoError(t, os.Truncate(path, size))
	}
	for name, c := range map[string]struct {
		sizes map[string]int64
		want  string
	}{
		"one file":          {map[string]int64{"a.k": 1 << 40}, "a.k"},
		"all together":      {map[string]int64{"a.k": 200 << 30, "b.k": 50 << 30, "c.k": 7 << 30}, "c.k"},
		"as much as may be": {map[string]int64{"a.k": 200 << 30, "b.k": 50 << 30, "c.k": 5 << 30}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "main.k", "*INCLUDE\na.k\nb.k\nc.k\n")
			for file, size := range c.sizes {
				sparse(t, filepath.Join(dir, file), size)
			}
			_, err := Read(t.Context(), filesIn(t, dir), "main.k", &Progress{})
			var size *SizeError
			must.Eq(t, c.want != "", errors.As(err, &size))
			if c.want != "" {
				must.Eq(t, c.want, size.File)
				return
			}
			must.NoError(t, err)
		})
	}
}

func TestRead_growsNoLargerWhileItIsRead(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "main.k", "*KEYWORD\n")
	files := filesIn(t, dir)
	d := &reading{ctx: t.Context(), files: files, sum: sha256.New(), progress: &Progress{}, left: 20, buf: make([]byte, chunkBytes)}
	file, err := d.open("main.k")
	must.NoError(t, err)
	defer file.Close()
	r, err := d.newFile(file, "main.k")
	must.NoError(t, err)
	appendTo(t, path, "*NODE\n*NODE\n*NODE\n")
	_, err = io.ReadAll(r)
	var size *SizeError
	must.True(t, errors.As(err, &size))
}

func TestRead_endsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.k", "*KEYWORD\n")
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := Read(ctx, filesIn(t, dir), "main.k", &Progress{})
	must.ErrorIs(t, err, cause)
}
