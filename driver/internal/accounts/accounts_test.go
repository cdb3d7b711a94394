// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// patience is how long anything may take before a test fails.
const patience = 30 * time.Second

// dora's answers are a directory's with one user, in three groups.
const dora = `case "$*" in
"passwd dora" | "passwd 61234") echo 'dora:x:61234:61000:Dora:/home/dora:/bin/sh' ;;
"group crash") echo 'crash:x:61300:dora,emil' ;;
"-G dora") echo '61000 61300 61301' ;;
"-G nobody") echo '65534 61300' ;;
*) exit 2 ;;
esac`

// testAccounts are those of a node whose getent and id are a script. Its trace has
// the arguments of each run.
func testAccounts(t *testing.T, script string) (a *Accounts, trace string) {
	t.Helper()
	dir := t.TempDir()
	trace = filepath.Join(dir, "trace")
	for _, program := range []string{"getent", "id"} {
		text := fmt.Sprintf("#!/bin/sh\necho \"${0##*/} $*\" >> %s\n%s\n", trace, script)
		must.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755))
	}
	return start(t, dir), trace
}

// start makes accounts that know nobody but root by files.
func start(t *testing.T, programs string) *Accounts {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := New(ctx, Options{Programs: []string{programs}, Patience: patience})
	root := &user.User{Uid: "0", Gid: "0", Username: "root", HomeDir: "/root"}
	a.files = files{
		user: func(name string) (*user.User, error) {
			switch name {
			case "root":
				return root, nil
			case "wide": // 2^32
				return &user.User{Uid: "4294967296", Gid: "5", Username: "wide"}, nil
			}
			return nil, user.UnknownUserError(name)
		},
		userByID: func(id string) (*user.User, error) {
			if id == "0" {
				return root, nil
			}
			return nil, user.UnknownUserError(id)
		},
		group: func(name string) (*user.Group, error) {
			if name == "wheel" {
				return &user.Group{Gid: "10", Name: name}, nil
			}
			return nil, user.UnknownGroupError(name)
		},
		groups: func(u *user.User) ([]string, error) {
			if u.Username == "root" {
				return []string{"0", "10"}, nil
			}
			return nil, errors.New("a broken file")
		},
	}
	t.Cleanup(func() {
		cancel()
		a.Close()
	})
	return a
}

// runs returns what ran, a line for each.
func runs(t *testing.T, trace string) string {
	t.Helper()
	text, err := os.ReadFile(trace)
	if !errors.Is(err, os.ErrNotExist) {
		must.NoError(t, err)
	}
	return string(text)
}

func TestUser_IsLookedForInFilesThenInTheDirectory(t *testing.T) {
	found := User{Name: "dora", UID: 61234, GID: 61000, Home: "/home/dora"}
	for name, c := range map[string]struct {
		want User
		ran  string
	}{
		"root":   {User{Name: "root", Home: "/root"}, ""},
		"0":      {User{Name: "root", Home: "/root"}, ""},
		"dora":   {found, "getent passwd dora\n"},
		"61234":  {found, "getent passwd 61234\n"},
		"061234": {found, "getent passwd 61234\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a, trace := testAccounts(t, dora)
			got, err := a.User(t.Context(), name)
			must.NoError(t, err)
			must.Eq(t, c.want, got)
			must.Eq(t, c.ran, runs(t, trace))
		})
	}
}

// getent takes a number for a uid, and of a long one the lower 32 bits: root.
func TestUser_OddNamesAreNotAskedFor(t *testing.T) {
	a, trace := testAccounts(t, `echo 'root:x:0:0::/:/bin/sh'`)
	for _, name := range []string{
		"", "-s", "--service=files", "+", "+@team", "a:b", "a/b", "../x", ".", "..", "a\nb", "a\x00", "a\x1b[2J", "\xff", " a", "a ", "\u202etoor",
		strings.Repeat("a", 300), "4294967296", "4294967295", "18446744073709551616",
	} {
		_, err := a.User(t.Context(), name)
		var unknown *UnknownError
		must.True(t, errors.As(err, &unknown), must.Sprintf("%q gives %v", name, err))
		must.False(t, Unsure(err))
		_, err = a.Group(t.Context(), name)
		must.True(t, errors.As(err, &unknown), must.Sprintf("group %q gives %v", name, err))
		_, err = a.Groups(t.Context(), User{Name: name})
		if !isName(name) {
			must.ErrorContains(t, err, "is no name to ask for")
		}
	}
	must.StrNotContains(t, runs(t, trace), "getent")
}

func TestUser_NamesOfDirectories(t *testing.T) {
	for _, name := range []string{"dora@cae.example.com", `CAE\dora`, "dora lang", "jürgen", "d.o-r_a$"} {
		a, _ := testAccounts(t, `[ "$1" = passwd ] && echo "$2:x:61234:61000::/home/d:/bin/sh" || echo 61000 61300`)
		got, err := a.User(t.Context(), name)
		must.NoError(t, err)
		must.Eq(t, name, got.Name)
		groups, err := a.Groups(t.Context(), got)
		must.NoError(t, err)
		must.Eq(t, []int{61000, 61300}, groups)
	}
}

// An answer that cannot be used is none: there may be such a user all the same.
func TestUser_AnswersThatAreNone(t *testing.T) {
	line := func(text string) string { return "echo '" + text + "'" }
	for name, c := range map[string]struct{ script, want string }{
		"nothing":                      {"true", "seven fields"},
		"two users":                    {line("dora:x:1:1::/:\nemil:x:2:2::/:"), "seven fields"},
		"too few fields":               {line("dora:x:1:1"), "seven fields"},
		"no uid":                       {line("dora:x::1::/:"), `"" is no user or group id`},
		"a uid that keeps root":        {line("dora:x:4294967295:1::/:"), `"4294967295" is no user or group id`},
		"a gid that keeps root's":      {line("dora:x:1:4294967295::/:"), `"4294967295" is no user or group id`},
		"a uid that becomes 0":         {line("dora:x:4294967296:1::/:"), `"4294967296" is no user or group id`},
		"a uid below 0":                {line("dora:x:-1:1::/:"), `"-1" is no user or group id`},
		"a uid with a sign":            {line("dora:x:+5:1::/:"), `"+5" is no user or group id`},
		"a name of digits":             {line("0:x:5:1::/:"), "cannot be the name of a user"},
		"a name that is an option":     {line("-G:x:5:1::/:"), "cannot be the name of a user"},
		"a name with an escape":        {`printf 'a\033[2J:x:5:1::/:/bin/sh\n'`, "cannot be the name of a user"},
		"a home with an escape":        {`printf 'dora:x:5:1::/\033[2J:/bin/sh\n'`, "control characters"},
		"too much":                     {"head -c 2000000 /dev/zero", "more than 1048576 bytes"},
		"another end":                  {"echo 'Unknown database' >&2; exit 1", `exit status 1: "Unknown database"`},
		"a signal":                     {"kill -SEGV $$", "segmentation fault"},
		"an answer, and another end":   {line("dora:x:1:1::/:/bin/sh") + "; exit 3", "exit status 3"},
		"output that a child holds on": {"sleep 3600 & echo $! >&3", "WaitDelay"},
	} {
		t.Run(name, func(t *testing.T) {
			pid := filepath.Join(t.TempDir(), "pid")
			a, _ := testAccounts(t, "exec 3>"+pid+"\n"+c.script)
			t.Cleanup(func() { endChild(t, pid) })
			_, err := a.User(t.Context(), "dora")
			var silent *NoAnswerError
			must.True(t, errors.As(err, &silent), must.Sprintf("%v", err))
			must.ErrorContains(t, err, `the directory does not answer (getent passwd "dora"): `)
			must.ErrorContains(t, err, c.want)
			must.True(t, Unsure(err))
		})
	}
}

// endChild ends the process that a script wrote to a file, if it did.
func endChild(t *testing.T, file string) {
	t.Helper()
	var pid int
	if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
		_, err := fmt.Sscan(string(text), &pid)
		must.NoError(t, err)
		child, err := os.FindProcess(pid)
		must.NoError(t, err)
		_ = child.Kill()
	}
}

// A number is a uid, and the answer is about that one.
func TestUser_TheAnswerIsAboutTheUID(t *testing.T) {
	a, _ := testAccounts(t, `echo 'root:x:0:0::/:/bin/sh'`)
	_, err := a.User(t.Context(), "61234")
	must.ErrorContains(t, err, `that is user "root" with uid 0`)
}

func TestUser_UnknownIsNotForEver(t *testing.T) {
	a, _ := testAccounts(t, "exit 2")
	_, err := a.User(t.Context(), "emil")
	must.EqError(t, err, `user "emil" is not known on this node, nor to its directory (getent passwd "emil")`)
	must.True(t, Unsure(err))
	_, err = a.Group(t.Context(), "crash")
	must.EqError(t, err, `group "crash" is not known on this node, nor to its directory (getent group "crash")`)
	must.True(t, Unsure(err))
}

func TestUser_OfAFileWithAnOddID(t *testing.T) {
	a, _ := testAccounts(t, dora)
	_, err := a.User(t.Context(), "wide")
	must.EqError(t, err, `user "wide" of /etc/passwd: "4294967296" is no user or group id`)
}

func TestGroup(t *testing.T) {
	a, trace := testAccounts(t, dora)
	for name, want := range map[string]int{"wheel": 10, "61399": 61399, "crash": 61300} {
		gid, err := a.Group(t.Context(), name)
		must.NoError(t, err)
		must.Eq(t, want, gid, must.Sprint(name))
	}
	must.Eq(t, "getent group crash\n", runs(t, trace))
	for name, script := range map[string]string{
		"nothing": "true", "too few fields": "echo crash:x:5", "no gid": "echo crash:x::", "a gid that keeps root's": "echo crash:x:4294967295:",
		"no name": "echo :x:5:",
	} {
		a, _ := testAccounts(t, script)
		_, err := a.Group(t.Context(), "crash")
		must.True(t, Unsure(err), must.Sprint(name))
	}
}

func TestGroup_WithMoreMembersThanAreRead(t *testing.T) {
	a, _ := testAccounts(t, `printf crash:x:61300:; head -c 2000000 /dev/zero | tr '\0' x`)
	gid, err := a.Group(t.Context(), "crash")
	must.NoError(t, err)
	must.Eq(t, 61300, gid)
}

// A directory has groups for users of /etc/passwd, too.
func TestGroups_AreTheDirectorysForEveryUser(t *testing.T) {
	a, trace := testAccounts(t, dora)
	groups, err := a.Groups(t.Context(), User{Name: "nobody", UID: 65534, GID: 65534})
	must.NoError(t, err)
	must.Eq(t, []int{61300, 65534}, groups)
	must.Eq(t, "id -G nobody\n", runs(t, trace))
}

// A user without groups is in none that is denied.
func TestGroups_AreNeverLeftOut(t *testing.T) {
	for name, script := range map[string]string{
		"nothing": "true", "an empty line": "echo", "names": "echo 61000 crash", "an id that is none": "echo 61000 4294967295",
		"two lines": "echo 61000; echo 61300", "the user is not known now": "echo \"id: 'dora': no such user\" >&2; exit 1",
		"not found, as getent says it": "exit 2", "too much": "head -c 2000000 /dev/zero | tr '\\0' 1",
		"too many": "seq -s ' ' 1 70000",
	} {
		a, _ := testAccounts(t, script)
		groups, err := a.Groups(t.Context(), User{Name: "dora", UID: 61234, GID: 61000})
		must.True(t, Unsure(err), must.Sprintf("%s: %v, %v", name, groups, err))
		must.ErrorContains(t, err, `the directory does not answer (id -G "dora"): `)
	}
}

// A small system has no getent and no id.
func TestWithoutPrograms_FilesAreAllThereIs(t *testing.T) {
	a := start(t, t.TempDir())
	_, err := a.User(t.Context(), "dora")
	must.EqError(t, err, `user "dora" is not known on this node`)
	must.False(t, Unsure(err))
	_, err = a.Group(t.Context(), "crash")
	must.EqError(t, err, `group "crash" is not known on this node`)
	groups, err := a.Groups(t.Context(), User{Name: "root"})
	must.NoError(t, err)
	must.Eq(t, []int{0, 10}, groups)
	_, err = a.Groups(t.Context(), User{Name: "dora"})
	must.EqError(t, err, "the directory does not answer (/etc/group): a broken file")
	must.True(t, Unsure(err))
}

// The folder before a program's is empty, and a folder of its name is no program.
func TestPrograms_AreLookedForInTurn(t *testing.T) {
	a, _ := testAccounts(t, dora)
	first := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(first, "getent"), 0o755))
	a.programs = append([]string{first}, a.programs...)
	_, err := a.User(t.Context(), "dora")
	must.NoError(t, err)
}

func TestThisNode(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a := New(ctx, Options{Patience: patience})
	defer a.Close()
	defer cancel()
	u, err := a.User(t.Context(), "root")
	must.NoError(t, err)
	must.Eq(t, 0, u.UID)
	if _, err := a.find("id"); err != nil {
		t.Skip("needs id")
	}
	groups, err := a.Groups(t.Context(), u)
	must.NoError(t, err)
	must.SliceContains(t, groups, 0)
}
