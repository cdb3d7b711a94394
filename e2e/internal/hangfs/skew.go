// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Skew has the server's clock be ahead of this machine's by so many seconds, or behind.
// It is the clock of all files there, those that are there already, too.
func (m *Mount) Skew(by time.Duration) error {
	return m.order(fmt.Sprintf("skew %d", int64(by/time.Second)))
}

// skewed is a server with a clock of its own.
type skewed struct {
	fuse.RawFileSystem
	by *atomic.Int64 // seconds
}

// setSkew obeys an order to the server.
func setSkew(by *atomic.Int64, seconds string) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("skew the clock: %w", err)
	}
	by.Store(n)
	return nil
}

// show makes the times of a file those of the server's clock.
func (s skewed) show(a *fuse.Attr, answer fuse.Status) fuse.Status {
	if answer.Ok() {
		for _, at := range []*uint64{&a.Atime, &a.Mtime, &a.Ctime} {
			*at = uint64(int64(*at) + s.by.Load())
		}
	}
	return answer
}

func (s skewed) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Lookup(cancel, h, name, out))
}

func (s skewed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.GetAttr(cancel, in, out))
}

func (s skewed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	for at, now := range map[*uint64]uint32{&in.Atime: fuse.FATTR_ATIME_NOW, &in.Mtime: fuse.FATTR_MTIME_NOW} {
		if in.Valid&now == 0 {
			*at = uint64(int64(*at) - s.by.Load())
		}
	}
	return s.show(&out.Attr, s.RawFileSystem.SetAttr(cancel, in, out))
}

func (s skewed) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Mknod(cancel, in, name, out))
}

func (s skewed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Mkdir(cancel, in, name, out))
}

func (s skewed) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Link(cancel, in, name, out))
}

func (s skewed) Symlink(cancel <-chan struct{}, h *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Symlink(cancel, h, to, name, out))
}

func (s skewed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return s.show(&out.Attr, s.RawFileSystem.Create(cancel, in, name, out))
}

// Statx has the kernel ask for attributes instead.
func (s skewed) Statx(<-chan struct{}, *fuse.StatxIn, *fuse.StatxOut) fuse.Status {
	return fuse.ENOSYS
}
