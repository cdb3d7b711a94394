// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"fmt"
	"runtime"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// nobody is who root is on a server that does not trust it.
const nobody = 65534

// squashed does what it is asked with the rights of whoever asks, and root is nobody
// to it. The kernel that asks has checked nothing: a server's word counts, as with
// NFS. Supplementary groups are not known here.
type squashed struct{ fuse.RawFileSystem }

// as does something with the rights of whoever asks.
func as(who *fuse.InHeader, do func() fuse.Status) fuse.Status {
	if who.Uid == 0 {
		who.Uid, who.Gid = nobody, nobody
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer setFSIDs(0, 0)
	setFSIDs(int(who.Uid), int(who.Gid))
	return do()
}

// setFSIDs sets whose rights the calling thread has for files: with another user than
// root it loses the capabilities that pass over their modes (setfsuid(2)).
func setFSIDs(uid, gid int) {
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	// The calls tell the former id, whatever they did.
	if now, err := unix.SetfsuidRetUid(-1); err != nil || now != uid {
		panic(fmt.Sprintf("setfsuid %d: it is %d: %v", uid, now, err))
	}
}

func (s squashed) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return as(h, func() fuse.Status { return s.RawFileSystem.Lookup(cancel, h, name, out) })
}

func (s squashed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.SetAttr(cancel, in, out) })
}

func (s squashed) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Mknod(cancel, in, name, out) })
}

func (s squashed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Mkdir(cancel, in, name, out) })
}

func (s squashed) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return as(h, func() fuse.Status { return s.RawFileSystem.Unlink(cancel, h, name) })
}

func (s squashed) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return as(h, func() fuse.Status { return s.RawFileSystem.Rmdir(cancel, h, name) })
}

func (s squashed) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Rename(cancel, in, from, to) })
}

func (s squashed) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Link(cancel, in, name, out) })
}

func (s squashed) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return as(h, func() fuse.Status { return s.RawFileSystem.Symlink(cancel, h, target, name, out) })
}

func (s squashed) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Access(cancel, in) })
}

func (s squashed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Create(cancel, in, name, out) })
}

func (s squashed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.Open(cancel, in, out) })
}

func (s squashed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.OpenDir(cancel, in, out) })
}

func (s squashed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return as(&in.InHeader, func() fuse.Status { return s.RawFileSystem.ReadDirPlus(cancel, in, out) })
}
