// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
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
	current := func() identity.Identity {
		o := launch.Options{Input: "main.k", NCPU: 2}
		cmd, err := launch.Build(solver, o)
		must.NoError(t, err)
		id, err := identity.New(hashed(t, folder, "main.k"), solver, o, cmd)
		must.NoError(t, err)
		return id
	}
	was := current()
	must.Eq(t, was, current())
	must.Eq(t, identity.Identity{Deck: was.Deck, Solver: "dyna:6", Parallel: lsdyna.SMP, Precision: lsdyna.Double, Processors: 2, Ranks: 1}, was)
	for _, name := range []string{"main.k", "parts/mesh.k", "parts/nodes.k", "other.k", "longname.k"} {
		appendTo(t, filepath.Join(dir, name), "$\n")
		now := current()
		must.NotEq(t, was.Deck, now.Deck, must.Sprint(name))
		was = now
	}
	_, err := folder.HashDeck(t.Context(), "missing.k", &deck.Progress{})
	must.ErrorIs(t, err, os.ErrNotExist)
}

func hashed(t *testing.T, folder *Folder, input string) string {
	t.Helper()
	read, err := folder.HashDeck(t.Context(), input, &deck.Progress{})
	must.NoError(t, err)
	return read.Hash
}
