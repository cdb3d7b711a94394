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
		return fmt.Errorf("%s is not in the run folder %s; check work_dir, or have an artifact or template block put it there", name, f.path)
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	defer file.Close()
	if n, err := file.Read(make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", name)
	}
	return nil
}

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
	maxDeckLines = 512 // bytes of a line that may hold a keyword or the name of a file
)

// deckHash is the hash of a deck and, in the order in which they are named, of
// the files it includes.
type deckHash struct {
	ctx     context.Context
	folder  *Folder
	sum     hash.Hash
	pending []string
	seen    map[string]bool
}

// hashDeck hashes a deck and what it includes. A file that is not below the run
// folder counts with its name only.
func (f *Folder) hashDeck(ctx context.Context, input string) (string, error) {
	d := &deckHash{ctx: ctx, folder: f, sum: sha256.New(), pending: []string{input}, seen: map[string]bool{input: true}}
	for first := true; len(d.pending) > 0; first = false {
		name := d.pending[0]
		d.pending = d.pending[1:]
		fmt.Fprintf(d.sum, "\x00%s\x00", name)
		err := d.file(name)
		if err != nil && (first || ctx.Err() != nil) {
			return "", err
		}
	}
	return hex.EncodeToString(d.sum.Sum(nil)), nil
}

func (d *deckHash) file(name string) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%s is not below the run folder: %w", name, os.ErrNotExist)
	}
	file, err := d.folder.openInput(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return d.lines(bufio.NewReaderSize(io.TeeReader(file, d.sum), chunkBytes), path.Dir(name))
}

// lines searches a deck for *INCLUDE keywords. Of a line longer than the buffer
// only the beginning is searched.
func (d *deckHash) lines(r *bufio.Reader, dir string) error {
	var include includeCards
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		begin := line
		for errors.Is(err, bufio.ErrBufferFull) {
			begin = bytes.Clone(begin[:min(len(begin), maxDeckLines)])
			_, err = r.ReadSlice('\n')
		}
		if name := include.line(begin[:min(len(begin), maxDeckLines)]); name != "" {
			d.add(name, dir)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n%4096 == 0 && d.ctx.Err() != nil {
			return d.ctx.Err()
		}
	}
}

// add takes the name of an included file. LS-DYNA looks for it in its working
// directory, then beside the file that names it.
func (d *deckHash) add(name, dir string) {
	if beside := path.Join(dir, name); dir != "." && filepath.IsLocal(name) && filepath.IsLocal(beside) {
		if file, err := d.folder.openInput(name); err == nil {
			_ = file.Close()
		} else {
			name = beside
		}
	}
	if !d.seen[name] && len(d.seen) < maxIncludes {
		d.seen[name] = true
		d.pending = append(d.pending, name)
	}
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
