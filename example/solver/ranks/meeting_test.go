// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func prefixes(t *testing.T, texts ...string) (all []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestMeetingFileIsWholeAndPrivate(t *testing.T) {
	m := newMeeting(t.TempDir(), "launch", 2)
	// What somebody left there, even a link elsewhere, is replaced and not followed.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(elsewhere, m.path); err != nil {
		t.Fatal(err)
	}
	token := newToken()
	if err := m.write(token, []string{"10.77.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(m.path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("the link was followed")
	}
	if all, _ := os.ReadDir(filepath.Dir(m.path)); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
	s, addresses, err := m.read()
	if err != nil || !bytes.Equal(s.token, token) || s.launch != "launch" || s.size != 2 || len(addresses) != 1 || addresses[0] != "10.77.0.1:80" {
		t.Errorf("%+v, %v, %v", s, addresses, err)
	}
	m.remove()
	if _, err := os.Lstat(m.path); err == nil {
		t.Error("it is not removed")
	}
}

func TestMeetingFileHasTheLaunchInItsName(t *testing.T) {
	if a, b := newMeeting("/run", "a", 2), newMeeting("/run", "b", 2); a.path == b.path {
		t.Error("two launches have the same file")
	}
}

func TestMeetingFileThatMustNotBeTrusted(t *testing.T) {
	good := `{"Ranks":2,"Token":"` + strings.Repeat("ab", tokenSize) + `","Addresses":["10.77.0.1:80"]}`
	for name, c := range map[string]struct {
		place func(path string) error
		want  string
	}{
		"others may read it":   {func(p string) error { return os.WriteFile(p, []byte(good), 0o644) }, "only its user may read"},
		"a link":               {func(p string) error { return os.Symlink(write(t, good), p) }, "too many levels of symbolic links"},
		"a folder":             {func(p string) error { return os.Mkdir(p, 0o700) }, "only its user may read"},
		"cut short":            {func(p string) error { return os.WriteFile(p, []byte(good[:40]), 0o600) }, "unexpected end"},
		"empty":                {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "unexpected end"},
		"no token":             {func(p string) error { return os.WriteFile(p, []byte(`{"Ranks":2}`), 0o600) }, "no token"},
		"a short token":        {func(p string) error { return os.WriteFile(p, []byte(`{"Ranks":2,"Token":"ab"}`), 0o600) }, "no token"},
		"another size":         {func(p string) error { return os.WriteFile(p, []byte(strings.Replace(good, "2", "3", 1)), 0o600) }, "of a launch of 3 ranks, not 2"},
		"of another user":      {func(p string) error { return ofAnotherUser(t, p, good) }, "belongs to user 65534"},
		"not there":            {func(string) error { return nil }, "no such file"},
		"the whole, but large": {func(p string) error { return os.WriteFile(p, []byte(good+strings.Repeat(" ", maxContent)+"x"), 0o600) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting(t.TempDir(), "launch", 2)
			if err := c.place(m.path); err != nil {
				t.Fatal(err)
			}
			_, _, err := m.read()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ofAnotherUser(t *testing.T, path, text string) error {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chown(path, 65534, 65534)
}

func FuzzMeeting(f *testing.F) {
	f.Add([]byte(`{"Ranks":2,"Token":"` + strings.Repeat("ab", tokenSize) + `","Addresses":["10.77.0.1:80"]}`))
	m := newMeeting("/run", "launch", 2)
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, addresses, err := m.decode(text); err == nil && (len(s.token) != tokenSize || len(addresses) > maxOffered) {
			t.Errorf("%+v, %v", s, addresses)
		}
	})
}
