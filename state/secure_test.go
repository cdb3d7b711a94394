// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
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
