// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// CheckInput reports why name cannot be the deck. The error is for the user.
func (f *Folder) CheckInput(name string) error {
	if err := lsdyna.ValidatePath("input", name); err != nil {
		return err
	}
	file, err := f.openInput(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return missingInput{fmt.Errorf("%s is not in the run folder %s; check work_dir, or have an artifact or template block put it there", name, f.path)}
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	defer file.Close()
	if n, err := file.Read(make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", name)
	}
	return nil
}

// missingInput is an os.ErrNotExist in words for the user.
type missingInput struct{ error }

func (missingInput) Is(target error) bool { return target == os.ErrNotExist }

// openInput opens a deck, which may be in a folder below the run folder. Links are
// followed as long as they stay inside.
func (f *Folder) openInput(name string) (*os.File, error) {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.dir.Fd()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, err
	}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, errors.Join(err, ErrNotRegular)
	}
	return file, nil
}

// Bounds of reading a deck with its includes.
const (
	maxIncludes  = 10_000
	maxDeckLines = 512       // bytes of a line that may hold a keyword or the name of a file
	maxDeckBytes = 256 << 30 // of all files together, holes included
)

// A DeckSizeError names the file with which a deck is larger than what is read of
// one.
type DeckSizeError struct{ File string }

func (e *DeckSizeError) Error() string {
	return fmt.Sprintf("with %s the deck and its includes are larger than %d GiB, the most that is read of one: is it a sparse file, or no part of the deck?",
		e.File, maxDeckBytes>>30)
}

// Deck is a deck as it was read.
type Deck struct {
	Hash     string
	Includes []string // files that it names and that were read
	Away     []string // files below the run folder that it names and that could not be opened: they are not there, or may not be read
}

// Lost returns a file that a record says the deck includes and that could not be opened
// now; "" where there is none. It may be away for a moment only, so its absence does
// not make another deck.
func (d Deck) Lost(r Record) string {
	for _, name := range d.Away {
		if slices.Contains(r.Includes, name) || r.Included.has(name) {
			return name
		}
	}
	return ""
}

// deckHash is the hash of a deck and, in the order in which they are named, of
// the files it includes.
type deckHash struct {
	ctx      context.Context
	folder   *Folder
	sum      hash.Hash
	progress *DeckProgress
	deck     Deck
	left     int64 // bytes that may still be read
	pending  []string
	seen     map[string]bool
	buf      []byte // a chunk, for one file after the other
}

// HashDeck reads a deck and what it includes. A file that is not below the run folder,
// or cannot be opened, counts with its name only. The error is a *DeckSizeError
// where there is more to read than anybody would want to wait for.
func (f *Folder) HashDeck(ctx context.Context, input string, progress *DeckProgress) (Deck, error) {
	d := &deckHash{
		ctx: ctx, folder: f, sum: sha256.New(), progress: progress, left: maxDeckBytes,
		pending: []string{input}, seen: map[string]bool{input: true}, buf: make([]byte, deckChunk),
	}
	for first := true; len(d.pending) > 0; first = false {
		name := d.pending[0]
		d.pending = d.pending[1:]
		fmt.Fprintf(d.sum, "\x00%s\x00", name)
		file, err := d.open(name)
		if err == nil {
			err = d.read(file, name)
		} else if !first && !undecided(err) {
			d.away(name)
			continue
		}
		if err != nil {
			return Deck{}, fmt.Errorf("read the deck: %w", err)
		}
		if !first {
			d.deck.Includes = append(d.deck.Includes, name)
		}
	}
	d.deck.Hash = hex.EncodeToString(d.sum.Sum(nil))
	return d.deck, nil
}

// away notes a file that cannot be opened.
func (d *deckHash) away(name string) {
	if filepath.IsLocal(name) && len(d.deck.Away) < maxIncludes {
		d.deck.Away = append(d.deck.Away, name)
	}
}

func (d *deckHash) open(name string) (*os.File, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%s is not below the run folder: %w", name, os.ErrNotExist)
	}
	file, err := d.folder.openInput(name)
	d.progress.steps.Add(1)
	return file, err
}

// undecided reports whether an error does not tell that there is no such file.
func undecided(err error) bool {
	return Unavailable(err) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// read hashes a file and closes it.
func (d *deckHash) read(file *os.File, name string) error {
	defer file.Close()
	r, err := d.newDeckFile(file, name)
	if err != nil {
		return err
	}
	return d.lines(bufio.NewReaderSize(r, chunkBytes), path.Dir(name))
}

// lines searches a deck for *INCLUDE keywords. Of a line longer than the buffer
// only the beginning is searched.
func (d *deckHash) lines(r *bufio.Reader, dir string) error {
	var include includeCards
	for {
		line, err := r.ReadSlice('\n')
		begin := line
		for errors.Is(err, bufio.ErrBufferFull) {
			begin = bytes.Clone(begin[:min(len(begin), maxDeckLines)])
			_, err = r.ReadSlice('\n')
		}
		if name := include.line(begin[:min(len(begin), maxDeckLines)]); name != "" {
			if err := d.add(name, dir); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add takes the name of an included file. LS-DYNA looks for it in its working
// directory, then beside the file that names it.
func (d *deckHash) add(name, dir string) error {
	if beside := path.Join(dir, name); dir != "." && filepath.IsLocal(name) && filepath.IsLocal(beside) {
		switch file, err := d.open(name); {
		case err == nil:
			_ = file.Close()
		case undecided(err):
			return err
		default:
			d.away(name)
			name = beside
		}
	}
	if !d.seen[name] && len(d.seen) < maxIncludes {
		d.seen[name] = true
		d.pending = append(d.pending, name)
	}
	return nil
}

// includeCards finds the file names of *INCLUDE keywords. Plain *INCLUDE has one on
// every card up to the next keyword, *INCLUDE_… on the first card only. A card that
// ends with " +" continues on the next.
type includeCards struct {
	cards   int // cards that may still hold a name
	partial string
}

func (c *includeCards) line(line []byte) string {
	line = bytes.TrimRight(line, " \t\r\n")
	switch {
	case len(line) == 0 || line[0] == '$':
		return ""
	case line[0] == '*':
		c.partial, c.cards = "", 0
		switch keyword := strings.ToUpper(string(line)); {
		case strings.HasPrefix(keyword, "*INCLUDE_PATH"):
		case keyword == "*INCLUDE":
			c.cards = maxIncludes
		case strings.HasPrefix(keyword, "*INCLUDE"):
			c.cards = 1
		}
		return ""
	case c.cards == 0:
		return ""
	}
	text := strings.TrimSpace(string(line))
	if more, ok := strings.CutSuffix(text, " +"); ok && len(c.partial) < 8*maxDeckLines {
		c.partial += strings.TrimSpace(more)
		return ""
	}
	name := c.partial + text
	c.partial = ""
	c.cards--
	return path.Clean(name)
}
