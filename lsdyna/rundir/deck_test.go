// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
)

func TestIdentity_seesChangesInTheDeckAndItsIncludes(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "parts"), 0o755))
	write(t, dir, "main.k", "*KEYWORD\n*INCLUDE\n$ comment\nparts/mesh.k\nother.k\n*INCLUDE_TRANSFORM\nlong +\nname.k\n0,0,0\n*include_path\nlib\n*END\n")
	write(t, filepath.Join(dir, "parts"), "mesh.k", "*INCLUDE\r\nnodes.k\r\n*INCLUDE\nmesh.k\n")
	write(t, filepath.Join(dir, "parts"), "nodes.k", "*NODE\n1,0,0,0\n")
	write(t, dir, "other.k", strings.Repeat("x", 3*chunkBytes)+"\n*INCLUDE\n/etc/passwd\n")
	write(t, dir, "longname.k", "*PART\n")
	solver := lsdyna.Solver{Path: write(t, dir, "dyna", "binary")}
	folder := openFolder(t, dir)
	identity := func() Identity {
		o := launch.Options{Input: "main.k", NCPU: 2}
		cmd, err := launch.Build(solver, o)
		must.NoError(t, err)
		id, err := NewIdentity(hashed(t, folder, "main.k"), solver, o, cmd)
		must.NoError(t, err)
		return id
	}
	was := identity()
	must.Eq(t, was, identity())
	must.Eq(t, Identity{Deck: was.Deck, Solver: "dyna:6", Parallel: lsdyna.SMP, Precision: lsdyna.Double, Processors: 2, Ranks: 1}, was)
	for _, name := range []string{"main.k", "parts/mesh.k", "parts/nodes.k", "other.k", "longname.k"} {
		appendTo(t, filepath.Join(dir, name), "$\n")
		now := identity()
		must.NotEq(t, was.Deck, now.Deck, must.Sprint(name))
		was = now
	}
	_, err := folder.HashDeck(t.Context(), "missing.k", &DeckProgress{})
	must.ErrorIs(t, err, os.ErrNotExist)
}

func hashed(t *testing.T, folder *Folder, input string) string {
	t.Helper()
	deck, err := folder.HashDeck(t.Context(), input, &DeckProgress{})
	must.NoError(t, err)
	return deck.Hash
}

// Dumps that the version before has recorded are taken: the hash of a deck stays what
// it was.
func TestHashDeck_isWhatItWas(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("1234567\n", deckChunk/4) // two chunks
	main := "*KEYWORD\n*INCLUDE\nmesh.k\nmissing.k\n*INCLUDE\n/etc/passwd\nsome\x00zeros" + strings.Repeat("\x00", 100_000) + "\n"
	write(t, dir, "main.k", main)
	write(t, dir, "mesh.k", long+"*INCLUDE\nend.k")
	write(t, dir, "end.k", "")
	want := sha256.Sum256([]byte("\x00main.k\x00" + main + "\x00mesh.k\x00" + long + "*INCLUDE\nend.k" +
		"\x00missing.k\x00" + "\x00/etc/passwd\x00" + "\x00some\x00zeros" + strings.Repeat("\x00", maxDeckLines-len("some\x00zeros")) + "\x00" + "\x00end.k\x00"))
	must.Eq(t, hex.EncodeToString(want[:]), hashed(t, openFolder(t, dir), "main.k"))
}

// An include that is away now does not make another deck of it; one that the deck does
// not name any more does.
func TestDeck_Lost(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "parts"), 0o755))
	const main = "*INCLUDE\nparts/mesh.k\nelsewhere.k\n/etc/passwd\n"
	write(t, dir, "main.k", main)
	write(t, filepath.Join(dir, "parts"), "mesh.k", "*INCLUDE\nnodes.k\n")
	write(t, filepath.Join(dir, "parts"), "nodes.k", "*NODE\n")
	folder := openFolder(t, dir)
	read := func() Deck {
		deck, err := folder.HashDeck(t.Context(), "main.k", &DeckProgress{})
		must.NoError(t, err)
		return deck
	}
	was := read()
	must.Eq(t, []string{"parts/mesh.k", "parts/nodes.k"}, was.Includes)
	must.Eq(t, []string{"nodes.k", "elsewhere.k"}, was.Away)
	var record Record
	record.Reads(was)
	must.Eq(t, "", was.Lost(record))

	for _, name := range was.Includes {
		path := filepath.Join(dir, name)
		must.NoError(t, os.Rename(path, path+".away"))
		now := read()
		must.NotEq(t, was.Hash, now.Hash)
		must.Eq(t, name, now.Lost(record))
		must.NoError(t, os.Rename(path+".away", path))
		must.Eq(t, was, read())
	}
	write(t, dir, "main.k", "*KEYWORD\n")
	must.NoError(t, os.RemoveAll(filepath.Join(dir, "parts")))
	must.Eq(t, "", read().Lost(record))
}

// A deck may have more files than a record has room for their names.
func TestDeck_LostOfThousands(t *testing.T) {
	for _, files := range []int{10, 300, 2000, maxIncludes} {
		t.Run(strconv.Itoa(files), func(t *testing.T) {
			folder := openFolder(t, t.TempDir())
			var was Deck
			for i := range files {
				was.Includes = append(was.Includes, fmt.Sprintf("parts/of/the/vehicle/%05d.k", i))
			}
			record := Record{Identity: Identity{Deck: "d"}}
			record.Reads(was)
			must.NoError(t, folder.WriteRecord(record))
			record, err := folder.ReadRecord()
			must.NoError(t, err)
			for _, name := range was.Includes {
				must.Eq(t, name, Deck{Away: []string{name}}.Lost(record))
			}
			wrong := 0
			for i := range 1000 {
				if (Deck{Away: []string{fmt.Sprintf("never/%d.k", i)}}).Lost(record) != "" {
					wrong++
				}
			}
			must.Less(t, 60, wrong)

			record.Reads(Deck{Includes: []string{"one.k"}})
			must.Eq(t, "", Deck{Away: was.Includes}.Lost(record))
		})
	}
}

// A hole and zeros that were written are the same; where they are, and how many they
// are, is not.
func TestHashDeck_holesAreZeros(t *testing.T) {
	const m = deckChunk
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
		return hashed(t, openFolder(t, dir), "main.k")
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
func TestHashDeck_readsOnBehindAHole(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "main.k"))
	must.NoError(t, err)
	must.NoError(t, file.Truncate(100<<30))
	_, err = file.WriteAt([]byte("\n*INCLUDE\nmesh.k\n"), 100<<30)
	must.NoError(t, err)
	must.NoError(t, file.Close())
	write(t, dir, "mesh.k", "*NODE\n")
	folder := openFolder(t, dir)
	var progress DeckProgress
	read, err := folder.HashDeck(t.Context(), "main.k", &progress)
	must.NoError(t, err)
	must.Less(t, 100, progress.Steps(), must.Sprint("the hole was read"))
	must.Greater(t, 100<<30, progress.Bytes())
	appendTo(t, filepath.Join(dir, "mesh.k"), "1\n")
	must.NotEq(t, read.Hash, hashed(t, folder, "main.k"))
}

func TestHashDeck_isBounded(t *testing.T) {
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
			_, err := openFolder(t, dir).HashDeck(t.Context(), "main.k", &DeckProgress{})
			var size *DeckSizeError
			must.Eq(t, c.want != "", errors.As(err, &size))
			if c.want != "" {
				must.Eq(t, c.want, size.File)
				return
			}
			must.NoError(t, err)
		})
	}
}

func TestHashDeck_growsNoLargerWhileItIsRead(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "main.k", "*KEYWORD\n")
	folder := openFolder(t, dir)
	d := &deckHash{ctx: t.Context(), folder: folder, sum: sha256.New(), progress: &DeckProgress{}, left: 20, buf: make([]byte, deckChunk)}
	file, err := d.open("main.k")
	must.NoError(t, err)
	defer file.Close()
	r, err := d.newDeckFile(file, "main.k")
	must.NoError(t, err)
	appendTo(t, path, "*NODE\n*NODE\n*NODE\n")
	_, err = io.ReadAll(r)
	var size *DeckSizeError
	must.True(t, errors.As(err, &size))
}

func TestHashDeck_endsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.k", "*KEYWORD\n")
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := openFolder(t, dir).HashDeck(ctx, "main.k", &DeckProgress{})
	must.ErrorIs(t, err, cause)
}

func FuzzDeckIncludes(f *testing.F) {
	f.Add([]byte("*KEYWORD\n*INCLUDE\na.k\nb.k\n*INCLUDE_TRANSFORM\nlong +\nname.k\n"))
	f.Add([]byte("*INCLUDE\n +\n +\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c includeCards
		for line := range strings.Lines(string(data)) {
			name := c.line([]byte(line)[:min(len(line), maxDeckLines)])
			must.False(t, strings.ContainsAny(name, "\n"))
			must.LessEq(t, 16*maxDeckLines, len(name))
		}
	})
}
