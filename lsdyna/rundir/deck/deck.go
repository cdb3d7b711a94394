// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package deck reads a deck and the files that it includes, and makes one hash of them:
// by it a start knows whether the dumps of an earlier one are of the same run.
//
// What is read belongs to an untrusted user, and is opened by [Files] alone. It may be
// sparse, without an end, or on a file server that stops answering: reading has bounds,
// passes over holes, ends with its context, and tells how far it is.
package deck

import (
	"bufio"
	"bytes"
	"cmp"
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

	"golang.org/x/sys/unix"
)

// Bounds of reading a deck with its includes.
const (
	maxIncludes = 10_000
	maxLine     = 512       // bytes of a line that may hold a keyword or the name of a file
	maxBytes    = 256 << 30 // of all files together, holes included
)

// bufferBytes is how much of a file is searched at once.
const bufferBytes = 64 << 10

// A SizeError names the file with which a deck is larger than what is read of
// one.
type SizeError struct{ File string }

func (e *SizeError) Error() string {
	return fmt.Sprintf("with %s the deck and its includes are larger than %d GiB, the most that is read of one: is it a sparse file, or no part of the deck?",
		e.File, maxBytes>>30)
}

// Deck is a deck as it was read.
type Deck struct {
	Hash     string
	Includes []string // files that it names and that were read
	Away     []string // files below the run folder that it names and that could not be opened: they are not there, or may not be read
	Unread   string   // the first file that it names and that was not read, wherever it is
	Keywords
}

// Files is where a deck and its includes are.
type Files struct {
	// Open opens a file by its path below the run folder, a regular one and without
	// waiting, or returns an error.
	Open func(name string) (*os.File, error)

	// Unavailable reports whether an error of Open says that the file system failed: it
	// does not tell whether there is such a file.
	Unavailable func(err error) bool
}

// reading is the hash of a deck and, in the order in which they are named, of
// the files it includes.
type reading struct {
	ctx      context.Context
	files    Files
	sum      hash.Hash
	progress *Progress
	deck     Deck
	left     int64 // bytes that may still be read
	pending  []string
	seen     map[string]bool
	buf      []byte // a chunk, for one file after the other
}

// Read reads a deck and what it includes. A file that is not below the run folder,
// or cannot be opened, counts with its name only. The error is a *SizeError
// where there is more to read than anybody would want to wait for.
func Read(ctx context.Context, files Files, input string, progress *Progress) (Deck, error) {
	d := &reading{
		ctx: ctx, files: files, sum: sha256.New(), progress: progress, left: maxBytes,
		pending: []string{input}, seen: map[string]bool{input: true}, buf: make([]byte, chunkBytes),
	}
	for first := true; len(d.pending) > 0; first = false {
		name := d.pending[0]
		d.pending = d.pending[1:]
		fmt.Fprintf(d.sum, "\x00%s\x00", name)
		file, err := d.open(name)
		if err == nil {
			err = d.read(file, name)
		} else if !first && !files.undecided(err) {
			d.away(name)
			d.deck.Unread = cmp.Or(d.deck.Unread, name)
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
func (d *reading) away(name string) {
	if filepath.IsLocal(name) && len(d.deck.Away) < maxIncludes {
		d.deck.Away = append(d.deck.Away, name)
	}
}

func (d *reading) open(name string) (*os.File, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%s is not below the run folder: %w", name, os.ErrNotExist)
	}
	file, err := d.files.Open(name)
	d.progress.steps.Add(1)
	return file, err
}

// undecided reports whether an error does not tell that there is no such file.
func (f Files) undecided(err error) bool {
	return f.Unavailable(err) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// read hashes a file and closes it.
func (d *reading) read(file *os.File, name string) error {
	defer file.Close()
	r, err := d.newFile(file, name)
	if err != nil {
		return err
	}
	return d.lines(bufio.NewReaderSize(r, bufferBytes), path.Dir(name))
}

// lines searches a deck for *INCLUDE keywords. Of a line longer than the buffer
// only the beginning is searched.
func (d *reading) lines(r *bufio.Reader, dir string) error {
	var include includeCards
	for {
		line, err := r.ReadSlice('\n')
		begin := line
		for errors.Is(err, bufio.ErrBufferFull) {
			begin = bytes.Clone(begin[:min(len(begin), maxLine)])
			_, err = r.ReadSlice('\n')
		}
		begin = begin[:min(len(begin), maxLine)]
		d.deck.note(begin)
		if name := include.line(begin); name != "" {
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
func (d *reading) add(name, dir string) error {
	if beside := path.Join(dir, name); dir != "." && filepath.IsLocal(name) && filepath.IsLocal(beside) {
		switch file, err := d.open(name); {
		case err == nil:
			_ = file.Close()
		case d.files.undecided(err):
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
