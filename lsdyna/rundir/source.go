// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
)

// Bounds of reading an output.
const (
	pollBytes  = 64 << 20 // at a time; with more than 500 MB/s this takes an eighth of a second
	chunkBytes = 64 << 10 // of one read
)

// chunks are shared by all followers: most of them have nothing to read most of the
// time.
var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// followed is an output with the offset up to which it was read.
type followed struct {
	name     string
	inode    uint64
	offset   int64
	modified time.Time      // when it was written to last, by the folder's clock
	reader   *output.Reader // nil of a glstat
	stats    *glstat.Reader // of a glstat, and of a d3hsp, where those of a binary glstat may be; else nil
	past     *output.Facts  // of the same output before it was written anew; nil: it was not
}

// newFollowed begins to read an output at an offset.
func newFollowed(kind lsdyna.OutputKind, name string, inode uint64, offset int64) *followed {
	s := &followed{name: name, inode: inode, offset: offset}
	if kind == lsdyna.KindGlstat || kind == lsdyna.KindD3hsp {
		s.stats = &glstat.Reader{InListing: kind == lsdyna.KindD3hsp}
	}
	if kind != lsdyna.KindGlstat {
		s.reader = &output.Reader{}
	}
	return s
}

// take takes the next bytes.
func (s *followed) take(b []byte) {
	if s.reader != nil {
		_, _ = s.reader.Write(b)
	}
	if s.stats != nil {
		_, _ = s.stats.Write(b)
	}
}

// maxRewritten is the largest file that is taken for one that is written anew as a
// whole, as status.out is.
const maxRewritten = 64 << 10

// unread reports whether there may be something in the output that was not read. One
// that is written anew often has the size that it had.
func (s *followed) unread(kind lsdyna.OutputKind, st unix.Stat_t) bool {
	return s.inode != st.Ino || s.offset != st.Size || s.rewritten(kind, time.Unix(st.Mtim.Unix()), st.Size)
}

func (s *followed) rewritten(kind lsdyna.OutputKind, modified time.Time, size int64) bool {
	return kind == lsdyna.KindStatus && !modified.Equal(s.modified) && size <= maxRewritten
}

// facts is what the output holds, with the progress that it held before it was written
// anew.
func (s *followed) facts(final bool) output.Facts {
	said := s.reader.Facts()
	if final {
		said = s.reader.Final()
	}
	if s.past != nil {
		return said.After(*s.past)
	}
	return said
}

// readWhole reads one output to its end.
func (f *Folder) readWhole(ctx context.Context, name string) (output.Facts, error) {
	src, err := f.readAs(ctx, lsdyna.KindMessag, name)
	if err != nil {
		return output.Facts{}, err
	}
	return src.reader.Final(), nil
}

// readAs reads one output of a kind to its end.
func (f *Folder) readAs(ctx context.Context, kind lsdyna.OutputKind, name string) (*followed, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return nil, err
	}
	src := newFollowed(kind, name, state.Inode, 0)
	src.modified = state.ModTime
	for src.offset < state.Size && ctx.Err() == nil {
		n, err := src.advance(f, file, state.Size)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file.Name(), err)
		}
		if n == 0 {
			break
		}
	}
	return src, ctx.Err()
}

// advance reads up to size, but no more than pollBytes. It skips the holes of a
// sparse file.
func (s *followed) advance(f *Folder, file *os.File, size int64) (int64, error) {
	buf := chunks.Get().(*[chunkBytes]byte)
	defer chunks.Put(buf)
	begin := s.offset
	for read := 0; s.offset < size && read < pollBytes; {
		n, err := file.ReadAt(buf[:min(chunkBytes, size-s.offset)], s.offset)
		f.answers.Add(1)
		read += n
		s.offset += int64(n)
		s.take(buf[:n])
		if err != nil && err != io.EOF {
			return s.offset - begin, err
		}
		if err == io.EOF || n == 0 {
			break // shorter meanwhile, which the next Poll finds
		}
		if n == chunkBytes && isZero(buf[:n]) {
			s.offset = nextData(file, s.offset, size)
		}
	}
	return s.offset - begin, nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// nextData is the offset of the next bytes after a hole, the size if there are none,
// or the offset itself if the file system does not know.
func nextData(file *os.File, offset, size int64) int64 {
	next, err := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size
	case err != nil || next < offset:
		return offset
	}
	return min(next, size)
}
