// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The POSIX access control lists of a file, acl(5), as extended attributes: who may
// use it, and what is made in a folder begins with.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// An entry of a list, linux/posix_acl_xattr.h: 2 bytes each of tag and rights, 4 of
// the id, behind 4 bytes of version.
const (
	aclVersion   = 2
	aclHeader    = 4
	aclEntrySize = 8

	aclOwner      = 0x01
	aclUser       = 0x02
	aclOwnerGroup = 0x04
	aclGroup      = 0x08
	aclMask       = 0x10
	aclOthers     = 0x20

	aclNone, aclWrite, aclRead = 0, 0x2, 0x4

	aclNobody = 1<<32 - 1 // of an entry that names nobody
)

type aclEntry struct {
	tag, rights uint16
	id          uint32
}

// readACL reads a list; none where the file has none, or its file system no lists.
func readACL(path, which string) ([]aclEntry, error) {
	const most = 64 << 10 // as the kernel has it, for any extended attribute
	data := make([]byte, most)
	n, err := unix.Lgetxattr(path, which, data)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read access control list of %s: %w", path, err)
	}
	return parseACL(data[:n])
}

func parseACL(data []byte) ([]aclEntry, error) {
	if len(data) < aclHeader || binary.LittleEndian.Uint32(data) != aclVersion || (len(data)-aclHeader)%aclEntrySize != 0 {
		return nil, fmt.Errorf("read access control list: unexpected format %.40x", data)
	}
	var entries []aclEntry
	for data = data[aclHeader:]; len(data) > 0; data = data[aclEntrySize:] {
		entries = append(entries, aclEntry{
			tag: binary.LittleEndian.Uint16(data), rights: binary.LittleEndian.Uint16(data[2:]), id: binary.LittleEndian.Uint32(data[4:]),
		})
	}
	return entries, nil
}

// writer names a user or group that a list lets write and that is neither root nor
// the agent's user; "" where there is none. Where a file has a list, its mode shows
// the list's mask in the place of what its group may.
func writer(entries []aclEntry, group uint32) string {
	mask := uint16(aclWrite)
	for _, e := range entries {
		if e.tag == aclMask {
			mask = e.rights
		}
	}
	for _, e := range entries {
		if e.rights&mask&aclWrite == 0 {
			continue
		}
		switch {
		case e.tag == aclUser && e.id != 0 && int(e.id) != os.Geteuid():
			return fmt.Sprintf("user %d", e.id)
		case e.tag == aclGroup && e.id != 0:
			return fmt.Sprintf("group %d", e.id)
		case e.tag == aclOwnerGroup && group != 0:
			return fmt.Sprintf("group %d", group)
		}
	}
	return ""
}

// GrantRead has a file read by its owner and one user more, whatever its mode was. The file
// stays its owner's: what belonged to the user he could write to without a bound.
func GrantRead(file *os.File, uid int) error {
	others := aclEntry{aclOthers, aclNone, aclNobody}
	list := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range []aclEntry{
		{aclOwner, aclRead, aclNobody},
		{aclUser, aclRead, uint32(uid)}, //nolint:gosec // a user's number
		{aclOwnerGroup, aclNone, aclNobody},
		{aclMask, aclRead, aclNobody},
		others,
	} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.rights)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	err := unix.Fsetxattr(int(file.Fd()), accessACL, list, 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("its file system has no access control lists (%w): name a folder on tmpfs, ext4 or xfs", err)
	}
	return err
}
