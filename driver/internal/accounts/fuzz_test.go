// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package accounts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// soundID reports whether the kernel takes an id for what it is.
func soundID(id int) bool { return id >= 0 && id < 1<<32-1 }

func FuzzParseUser(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "dora:x:61234:61000:Dora:/home/dora:/bin/sh\n", "dora:x:61234:61000:Dora:/home/dora:/bin/sh\nemil:x:1:1::/:\n",
		"CAE\\dora:*:4294967294:0:::\n", "dora:x:4294967295:4294967296::/:\n", "-G:x:1:1::/:\n", "1:x:1:1::/:\n", "jürgen:x:0007:7::rel:\n", "a\x00:x:1:1::/\x1b:\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := parseUser(data)
		if err != nil {
			return
		}
		if !isName(u.Name) || isNumber(u.Name) || strings.ContainsAny(u.Name+u.Home, ":\n\x00\x1b") || !strings.HasPrefix(u.Home, "/") || !soundID(u.UID) || !soundID(u.GID) {
			t.Fatalf("%q gives %+v", data, u)
		}
		again, err := parseUser(fmt.Appendf(nil, "%s:x:%d:%d::%s:/bin/sh\n", u.Name, u.UID, u.GID, u.Home))
		if err != nil || again != u {
			t.Fatalf("%+v becomes %+v, %v", u, again, err)
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	for _, seed := range []string{"", "crash:x:61300:dora,emil\n", "crash:x:61300:", "crash:x:-1:\n", "a:b:c", "domain users:*:4294967295:\n", ":x:1:\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		gid, err := parseGroup(data)
		if err == nil && (!soundID(gid) || !strings.Contains(string(data), ":")) {
			t.Fatalf("%q gives %d", data, gid)
		}
	})
}

func FuzzParseGroups(f *testing.F) {
	for _, seed := range []string{"", "\n", "61000 61300 61301\n", "61000 61000", "0\n", "4294967295\n", "1 crash\n", "1\n2\n", "  7   8 \n", "99999999999999999999\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, err := parseGroups(data)
		if err != nil {
			return
		}
		if len(groups) == 0 || len(groups) > maxGroups || !slices.IsSorted(groups) || !soundID(groups[0]) || !soundID(groups[len(groups)-1]) {
			t.Fatalf("%q gives %v", data, groups)
		}
	})
}

func FuzzIsName(f *testing.F) {
	for _, seed := range []string{"", "dora", "-x", "+", "a:b", "dora@cae.example.com", `CAE\dora`, "domain users", "\xff", "a\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if isName(name) && (name[0] == '-' || name[0] == '+' || len(name) > maxName || strings.ContainsAny(name, ":/\n\r\x00\x1b\x7f")) {
			t.Fatalf("%q is a name", name)
		}
	})
}
