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

	aclUser       = 0x02
	aclOwnerGroup = 0x04
	aclGroup      = 0x08
	aclMask       = 0x10

	aclWrite = 0x2
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
