// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Progress tells how far the reading of a deck is. Anybody may ask at any time.
type Progress struct{ steps, bytes atomic.Int64 }

// Steps counts what the file system has answered. Where a file server is down it
// stays the same; while a slow one is read from it grows.
func (p *Progress) Steps() int64 { return p.steps.Load() }

// Bytes counts the bytes that are behind, holes included.
func (p *Progress) Bytes() int64 { return p.bytes.Load() }

// chunkBytes is how much of a deck is read at once.
const chunkBytes = 1 << 20

var zeroChunk [chunkBytes]byte

// deckFile reads one file of a deck and hashes what it reads. Whole chunks of zeros
// are hashed by their number, and their reader gets one byte for each row of them: no
// line of a deck is that long. So holes need not be read, and a hole and written zeros
// are the same.
type deckFile struct {
	*reading
	file    *os.File
	name    string
	size    int64 // when it was opened
	sparse  bool  // it may have holes that the file system tells of
	offset  int64 // of what is read next
	dataEnd int64 // there is no hole between offset and here
	zeros   int64 // bytes before offset that are not hashed yet
	rest    []byte
}

func (d *reading) newFile(file *os.File, name string) (*deckFile, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Size > d.left {
		return nil, &SizeError{name}
	}
	const block = 512 // of st_blocks, whatever st_blksize says
	return &deckFile{reading: d, file: file, name: name, size: st.Size, sparse: st.Blocks < st.Size/block}, nil
}

// Read hands out what has been hashed.
func (r *deckFile) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads and hashes a chunk, or passes over a hole.
func (r *deckFile) next() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if n := r.hole(); n > 0 {
		return r.passZeros(n)
	}
	n, err := r.file.ReadAt(r.buf, r.offset)
	switch {
	case n == len(r.buf) && bytes.Equal(r.buf, zeroChunk[:]):
		return r.passZeros(int64(n))
	case n > 0:
		r.hashZeros()
		_, _ = r.sum.Write(r.buf[:n])
		r.rest = r.buf[:n]
		return r.advance(int64(n))
	case errors.Is(err, io.EOF):
		r.hashZeros()
		return io.EOF
	case err == nil:
		err = io.ErrNoProgress
	}
	return fmt.Errorf("read %s: %w", r.name, err)
}

func (r *deckFile) advance(n int64) error {
	r.offset += n
	r.left -= n
	r.progress.bytes.Add(n)
	r.progress.steps.Add(1)
	if r.left < 0 { // it has grown meanwhile
		return &SizeError{r.name}
	}
	return nil
}

func (r *deckFile) passZeros(n int64) error {
	r.zeros += n
	r.rest = zeroChunk[:1]
	return r.advance(n)
}

func (r *deckFile) hashZeros() {
	if r.zeros > 0 {
		fmt.Fprintf(r.sum, "\x00%d zeros\x00", r.zeros)
		r.zeros = 0
	}
}

// hole returns how many bytes of whole chunks at the offset are a hole. A file system
// that does not tell has none.
func (r *deckFile) hole() int64 {
	if !r.sparse || r.offset < r.dataEnd || r.offset%chunkBytes != 0 {
		return 0
	}
	data, err := unix.Seek(int(r.file.Fd()), r.offset, unix.SEEK_DATA)
	end := int64(math.MaxInt64)
	switch {
	case errors.Is(err, unix.ENXIO): // nothing but a hole up to the end
		data, err = r.size, nil
	case err == nil:
		end, err = unix.Seek(int(r.file.Fd()), data, unix.SEEK_HOLE)
	}
	if err != nil {
		r.sparse = false
		return 0
	}
	r.dataEnd = end
	return max(min(data, r.size)-r.offset, 0) / chunkBytes * chunkBytes
}
