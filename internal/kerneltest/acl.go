// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package kerneltest

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// ACL is an access control list, acl(5), without its mask, which lets everything
// through: rights of the owner, the group, others, and of users and groups by id.
type ACL struct {
	Owner, Group, Other uint16
	Users, Groups       map[uint32]uint16
}

// The kinds of lists.
const (
	Access  = "system.posix_acl_access"
	Default = "system.posix_acl_default"
)

// SetACL gives a file or folder a list, or skips the test where its file system has
// none.
func SetACL(t *testing.T, path, which string, list ACL) {
	t.Helper()
	const version, all, nobody = 2, 7, ^uint32(0)
	const owner, user, group, namedGroup, mask, other = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
	data := binary.LittleEndian.AppendUint32(nil, version)
	add := func(tag, rights uint16, id uint32) {
		data = binary.LittleEndian.AppendUint16(data, tag)
		data = binary.LittleEndian.AppendUint16(data, rights)
		data = binary.LittleEndian.AppendUint32(data, id)
	}
	add(owner, list.Owner, nobody)
	for id, rights := range list.Users { // the kernel wants them in order: one at most
		add(user, rights, id)
	}
	add(group, list.Group, nobody)
	for id, rights := range list.Groups {
		add(namedGroup, rights, id)
	}
	add(mask, all, nobody)
	add(other, list.Other, nobody)
	err := unix.Setxattr(path, which, data, 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("no access control lists at %s", path)
	}
	if err != nil {
		t.Fatalf("give %s an access control list: %v", path, err)
	}
}
