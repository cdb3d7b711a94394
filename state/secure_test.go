// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
)

const stranger = 65534

// Whoever can exchange a folder above state_dir can exchange state_dir.
func TestOpen_RefusesAWayThatOthersLead(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, base string) (stateDir string)
		want    string // "" is fine
		root    bool
	}{
		"nothing wrong": {func(t *testing.T, base string) string { return base + "/a/b/state" }, "", false},
		"a folder that all may write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o777)
			return base + "/a/state"
		}, "others may write", false},
		"the same, further up": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o777)
			mkdir(t, base+"/a/b", 0o755)
			return base + "/a/b/state"
		}, "others may write", false},
		"a folder that a foreign group may write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o770)
			must.NoError(t, os.Chown(base+"/a", 0, stranger))
			return base + "/a/state"
		}, "others may write", true},
		"a folder like /tmp": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o777)
			must.NoError(t, os.Chmod(base+"/a", 0o777|fs.ModeSticky))
			return base + "/a/state"
		}, "", false},
		"a foreign folder": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o755)
			must.NoError(t, os.Chown(base+"/a", stranger, stranger))
			return base + "/a/state"
		}, "belongs to uid 65534, who could exchange", true},
		"a link of root's": {func(t *testing.T, base string) string {
			mkdir(t, base+"/real", 0o755)
			link(t, "real", base+"/a")
			return base + "/a/state"
		}, "", false},
		"a foreign link": {func(t *testing.T, base string) string {
			mkdir(t, base+"/real", 0o755)
			link(t, base+"/real", base+"/a")
			must.NoError(t, os.Lchown(base+"/a", stranger, stranger))
			return base + "/a/state"
		}, "belongs to uid 65534", true},
		"a link into a folder that all may write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/open", 0o777)
			mkdir(t, base+"/open/real", 0o755)
			link(t, "open/real", base+"/a")
			return base + "/a/state"
		}, "others may write", false},
		"links in a circle": {func(t *testing.T, base string) string {
			link(t, "b", base+"/a")
			link(t, "a", base+"/b")
			return base + "/a/state"
		}, "too many symbolic links", false},
		"a list that lets a user write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o755)
			kerneltest.SetACL(t, base+"/a", kerneltest.Access, kerneltest.ACL{Owner: 7, Group: 5, Other: 5, Users: map[uint32]uint16{stranger: 7}})
			return base + "/a/state"
		}, "lets user 65534 write", true},
		"a list that lets a group write, further up": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o755)
			mkdir(t, base+"/a/b", 0o755)
			kerneltest.SetACL(t, base+"/a", kerneltest.Access, kerneltest.ACL{Owner: 7, Group: 5, Other: 5, Groups: map[uint32]uint16{stranger: 7}})
			return base + "/a/b/state"
		}, "lets group 65534 write", true},
		"a list that lets the foreign group of the folder write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o755)
			must.NoError(t, os.Chown(base+"/a", 0, stranger))
			kerneltest.SetACL(t, base+"/a", kerneltest.Access, kerneltest.ACL{Owner: 7, Group: 7, Other: 5})
			return base + "/a/state"
		}, "lets group 65534 write", true},
		"a list that lets others read, and root write": {func(t *testing.T, base string) string {
			mkdir(t, base+"/a", 0o755)
			must.NoError(t, os.Chown(base+"/a", 0, stranger))
			kerneltest.SetACL(t, base+"/a", kerneltest.Access, kerneltest.ACL{
				Owner: 7, Group: 5, Other: 5,
				Users: map[uint32]uint16{stranger: 5}, Groups: map[uint32]uint16{0: 7},
			})
			return base + "/a/state"
		}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			dir := c.prepare(t, t.TempDir())
			s, err := Open(dir)
			if c.want == "" {
				must.NoError(t, err)
				must.NoError(t, s.Close())
				look, err := OpenReadOnly(dir)
				must.NoError(t, err)
				must.NoError(t, look.Close())
				return
			}
			must.ErrorContains(t, err, c.want)
			_, err = os.Lstat(dir)
			must.Error(t, err, must.Sprint("root made a folder where others lead it"))
			_, err = OpenReadOnly(dir)
			must.ErrorContains(t, err, c.want)
			must.StrContains(t, err.Error(), filepath.Base(dir))
		})
	}
}

// What is made in state_dir is its owner's, whatever list the folder hands down.
func TestOpen_RefusesAListForWhatIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	mkdir(t, dir, 0o700)
	list := kerneltest.ACL{Owner: 7, Users: map[uint32]uint16{stranger: 5}}
	kerneltest.SetACL(t, dir, kerneltest.Default, list)
	s, err := Open(dir)
	must.NoError(t, err)
	must.NoError(t, s.Close())
	list.Users[stranger] = 7
	kerneltest.SetACL(t, dir, kerneltest.Default, list)
	_, err = Open(dir)
	must.ErrorContains(t, err, "setfacl -b "+dir)
}

func TestParseACL_refusesWhatIsNone(t *testing.T) {
	for name, data := range map[string]string{"empty": "", "another version": "\x01\x00\x00\x00", "cut": "\x02\x00\x00\x00\x01\x00"} {
		t.Run(name, func(t *testing.T) {
			_, err := parseACL([]byte(data))
			must.Error(t, err)
		})
	}
}

func FuzzParseACL(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff"))
	f.Add([]byte("\x02\x00\x00\x00\x02\x00\x06\x00\xe8\x03\x00\x00\x10\x00\x05\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseACL(data)
		if err == nil && aclHeader+len(list)*aclEntrySize != len(data) {
			t.Errorf("%d entries of %d bytes", len(list), len(data))
		}
		writer(list, 0)
	})
}

func TestRecord_TryLock(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	other, err := s.Record(someID)
	must.NoError(t, err)
	must.ErrorIs(t, other.TryLock(), ErrHeld)
	r.Unlock()
	must.NoError(t, other.TryLock())
	_, err = s.Create(someID)
	must.ErrorContains(t, err, "still runs") // nobody starts in it
	other.Unlock()
	must.False(t, r.Locked())
}
