// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"
)

// A deck without an end holds no start up, and no core.
func TestStart_EndlessDeckIsRefused(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1")
	j.files = deckFiles(t, false)
	j.files["main.k"] += "*INCLUDE\nbig.k\n"
	j.files["big.k"] = ""
	j.folder = n.folder(j.files)
	must.NoError(t, os.Truncate(filepath.Join(j.folder, "big.k"), 1<<40))
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "with big.k the deck and its includes are larger than 256 GiB")
	must.ErrorContains(t, err, `restart = "never"`)
	must.False(t, structs.IsRecoverable(err))
	must.Eq(t, n.cores.Managed(), n.free())
	_, err = os.Stat(filepath.Join(j.folder, ".lsdyna-run.json"))
	must.ErrorIs(t, err, os.ErrNotExist)

	unread := n.script("exec sleep 3600")
	unread.folder, unread.config = j.folder, unread.config+"\n restart = \"never\""
	n.start(unread)
}

// A deck that cannot be read in time may be read by a later start: this one takes no
// cores, and begins nothing anew.
func TestStart_DeckThatTakesTooLong(t *testing.T) {
	n := newNode(t)
	n.patience.decks.Whole = 0
	j := standinJob("ncpu = 1")
	files := deckFiles(t, false)
	j.folder = n.folder(files)
	// Some seconds of work without a hole to skip.
	must.NoError(t, os.WriteFile(filepath.Join(j.folder, "main.k"), []byte(files["main.k"]+strings.Repeat("$\n", 16<<20)), 0o644))
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "that takes too long")
	must.True(t, structs.IsRecoverable(err))
	must.Eq(t, n.cores.Managed(), n.free())
	_, err = os.Stat(filepath.Join(j.folder, ".lsdyna-run.json"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// Cores are taken after the deck was read, which may take long.
func TestStart_ReadsTheDeckBeforeItTakesCores(t *testing.T) {
	n := newNode(t)
	n.patience.decks.Report = time.Microsecond
	j := standinJob("ncpu = 1")
	r := n.start(j)
	n.hears(r.id, "Read the deck (0.0 GB) in ")
	n.hears(r.id, "Allocated core")
	said := strings.Join(n.said(r.id), "\n")
	must.Less(t, strings.Index(said, "Allocated core"), strings.Index(said, "Read the deck"), must.Sprint(said))
}

func TestStart_ARunFolderThatIsAwayIsTriedAgain(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1")
	j.folder = n.folder(deckFiles(t, false))
	cfg := n.task(j)
	must.NoError(t, os.Rename(j.folder, j.folder+".away"))
	_, _, err := n.StartTask(cfg)
	must.ErrorContains(t, err, "make it on this node")
	must.True(t, structs.IsRecoverable(err))
	must.NoError(t, os.Rename(j.folder+".away", j.folder))
	handle, _, err := n.StartTask(cfg)
	must.NoError(t, err)
	must.True(t, n.started(cfg, handle).wait().Successful())
}
