// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// An include that is away now does not make another deck of it; one that the deck does
// not name any more does.
func TestRecord_Lost(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "parts"), 0o755))
	const main = "*INCLUDE\nparts/mesh.k\nelsewhere.k\n/etc/passwd\n"
	write(t, dir, "main.k", main)
	write(t, filepath.Join(dir, "parts"), "mesh.k", "*INCLUDE\nnodes.k\n")
	write(t, filepath.Join(dir, "parts"), "nodes.k", "*NODE\n")
	folder := openFolder(t, dir)
	read := func() deck.Deck {
		d, err := folder.HashDeck(t.Context(), "main.k", &deck.Progress{})
		must.NoError(t, err)
		return d
	}
	was := read()
	must.Eq(t, []string{"parts/mesh.k", "parts/nodes.k"}, was.Includes)
	must.Eq(t, []string{"nodes.k", "elsewhere.k"}, was.Away)
	var record Record
	record.Reads(was)
	must.Eq(t, "", record.Lost(was))

	for _, name := range was.Includes {
		path := filepath.Join(dir, name)
		must.NoError(t, os.Rename(path, path+".away"))
		now := read()
		must.NotEq(t, was.Hash, now.Hash)
		must.Eq(t, name, record.Lost(now))
		must.NoError(t, os.Rename(path+".away", path))
		must.Eq(t, was, read())
	}
	write(t, dir, "main.k", "*KEYWORD\n")
	must.NoError(t, os.RemoveAll(filepath.Join(dir, "parts")))
	must.Eq(t, "", record.Lost(read()))
}

// A deck may have more files than a record has room for their names.
func TestRecord_LostOfThousands(t *testing.T) {
	for _, files := range []int{10, 300, 2000, 10_000} {
		t.Run(strconv.Itoa(files), func(t *testing.T) {
			folder := openFolder(t, t.TempDir())
			var was deck.Deck
			for i := range files {
				was.Includes = append(was.Includes, fmt.Sprintf("parts/of/the/vehicle/%05d.k", i))
			}
			record := Record{Identity: identity.Identity{Deck: "d"}}
			record.Reads(was)
			must.NoError(t, folder.WriteRecord(record))
			record, err := folder.ReadRecord()
			must.NoError(t, err)
			for _, name := range was.Includes {
				must.Eq(t, name, record.Lost(deck.Deck{Away: []string{name}}))
			}
			wrong := 0
			for i := range 1000 {
				if record.Lost(deck.Deck{Away: []string{fmt.Sprintf("never/%d.k", i)}}) != "" {
					wrong++
				}
			}
			must.Less(t, 60, wrong)

			record.Reads(deck.Deck{Includes: []string{"one.k"}})
			must.Eq(t, "", record.Lost(deck.Deck{Away: was.Includes}))
		})
	}
}
