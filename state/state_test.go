// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// TestMain lets the test binary play another process that is handed a lock.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hold" {
		fmt.Println("holding")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test closes it
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens a fresh store.
func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	must.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var someID = ID{Alloc: "alloc", Task: "task", Invocation: "1"}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	must.NoError(t, err)
	return info.Mode().String()
}

func TestOpen_MakesFoldersForTheOwnerAlone(t *testing.T) {
	s := open(t)
	must.Eq(t, "drwx------", mode(t, s.Dir()))
	must.Eq(t, "drwx------", mode(t, filepath.Join(s.Dir(), "tasks")))
	must.Eq(t, "-rw-------", mode(t, filepath.Join(s.Dir(), "plugin.lock")))
}

func TestOpen_RefusesWhatSomebodyElseCouldHavePrepared(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
		root    bool
	}{
		"open to the group": {func(t *testing.T, dir string) { mkdir(t, dir, 0o750) }, "chmod 0700", false},
		"open to others":    {func(t *testing.T, dir string) { mkdir(t, dir, 0o701) }, "mode 0701", false},
		"tasks is open":     {func(t *testing.T, dir string) { mkdir(t, dir, 0o700); mkdir(t, dir+"/tasks", 0o755) }, "chmod 0700", false},
		"a link":            {func(t *testing.T, dir string) { mkdir(t, dir+"2", 0o700); link(t, dir+"2", dir) }, "symbolic link", false},
		"tasks is a link": {func(t *testing.T, dir string) {
			mkdir(t, dir, 0o700)
			mkdir(t, dir+"2", 0o700)
			link(t, dir+"2", dir+"/tasks")
		}, "symbolic link", false},
		"a file":             {func(t *testing.T, dir string) { must.NoError(t, os.WriteFile(dir, nil, 0o600)) }, "not a directory", false},
		"a foreign owner":    {func(t *testing.T, dir string) { mkdir(t, dir, 0o700); must.NoError(t, os.Chown(dir, 65534, 65534)) }, "belongs to uid 65534", true},
		"the lock is a link": {func(t *testing.T, dir string) { mkdir(t, dir, 0o700); link(t, dir+"2", dir+"/plugin.lock") }, "open state_dir", false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			dir := filepath.Join(t.TempDir(), "state")
			c.prepare(t, dir)
			s, err := Open(dir)
			must.ErrorContains(t, err, c.want)
			must.Nil(t, s)
			_, err = os.Stat(dir + "2")
			if name == "the lock is a link" {
				must.ErrorIs(t, err, fs.ErrNotExist) // nothing was made through the link
			}
		})
	}
}

func mkdir(t *testing.T, dir string, perm os.FileMode) {
	t.Helper()
	must.NoError(t, os.Mkdir(dir, perm))
	must.NoError(t, os.Chmod(dir, perm))
}

func link(t *testing.T, to, name string) {
	t.Helper()
	must.NoError(t, os.Symlink(to, name))
}

func TestOpen_OnePluginAtATime(t *testing.T) {
	s := open(t)
	_, err := Open(s.Dir())
	must.ErrorIs(t, err, ErrInUse)
	must.StrContains(t, err.Error(), s.Dir())
	look, err := OpenReadOnly(s.Dir())
	must.NoError(t, err)
	must.NoError(t, look.Close())
	must.NoError(t, s.Close())
	again, err := Open(s.Dir())
	must.NoError(t, err)
	must.NoError(t, again.Close())
}

// Running tasks must be found again also where nothing can be written.
func TestOpen_OnADiskThatCannotBeWritten(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, string){
		"full": func(t *testing.T, dir string) {
			f, err := os.Create(filepath.Join(dir, "ballast"))
			must.NoError(t, err)
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			must.ErrorIs(t, err, unix.ENOSPC)
			must.NoError(t, f.Close())
		},
		"read-only": func(t *testing.T, dir string) {
			must.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("state", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
				t.Skipf("needs to mount: %v", err)
			}
			t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
			first, err := Open(dir)
			must.NoError(t, err)
			r, err := first.Create(ID{Alloc: "a", Task: "t", Invocation: "i"})
			must.NoError(t, err)
			r.Unlock()
			must.NoError(t, first.Close())
			spoil(t, dir)

			s, err := Open(dir)
			must.NoError(t, err)
			t.Cleanup(func() { must.NoError(t, s.Close()) })
			records, err := s.Records()
			must.NoError(t, err)
			must.Len(t, 1, records)
			_, err = Open(dir)
			must.ErrorIs(t, err, ErrInUse)
		})
	}
}

func TestOpenReadOnly_MakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	_, err := OpenReadOnly(dir)
	must.ErrorIs(t, err, fs.ErrNotExist)
	_, err = os.Stat(dir)
	must.ErrorIs(t, err, fs.ErrNotExist)
}

func TestRecord_FromCreationToRemoval(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	must.Eq(t, filepath.Join(s.Dir(), "tasks/alloc/task/1"), r.Dir)
	must.Eq(t, "drwx------", mode(t, r.Dir))
	must.Eq(t, "-rw-------", mode(t, filepath.Join(r.Dir, "lock")))
	must.NotNil(t, r.Lock())
	must.True(t, r.Locked())
	found, err := s.Record(someID)
	must.NoError(t, err)
	must.True(t, found.Locked())

	_, err = s.Create(someID)
	must.ErrorContains(t, err, "its supervisor still runs")
	r.Unlock()
	r.Unlock()
	must.Nil(t, r.Lock())
	must.False(t, found.Locked())

	must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "exit.json"), []byte("stale"), 0o600))
	r, err = s.Create(someID) // Nomad repeats a task ID
	must.NoError(t, err)
	_, err = os.Stat(filepath.Join(r.Dir, "exit.json"))
	must.ErrorIs(t, err, fs.ErrNotExist)
	r.Unlock()

	must.NoError(t, r.Remove())
	must.NoError(t, r.Remove())
	left, err := os.ReadDir(filepath.Join(s.Dir(), "tasks"))
	must.NoError(t, err)
	must.SliceEmpty(t, left)
	_, err = s.Record(someID)
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.False(t, found.Locked())
}

func TestRecord_RemovalLeavesOtherRuns(t *testing.T) {
	s := open(t)
	for _, run := range []string{"1", "2"} {
		r, err := s.Create(ID{"alloc", "task", run})
		must.NoError(t, err)
		r.Unlock()
	}
	r, err := s.Record(someID)
	must.NoError(t, err)
	must.NoError(t, r.Remove())
	_, err = s.Record(ID{"alloc", "task", "2"})
	must.NoError(t, err)
}

// The supervisor inherits the lock: the record stays locked without a gap when
// the plugin lets go, and until the supervisor ends.
func TestRecord_LockPassesOnToAChild(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	child := exec.Command("/proc/self/exe", "hold")
	child.ExtraFiles = []*os.File{r.Lock()}
	stdin, err := child.StdinPipe()
	must.NoError(t, err)
	stdout, err := child.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, child.Start())
	_, err = stdout.Read(make([]byte, 8))
	must.NoError(t, err)
	r.Unlock()
	must.True(t, r.Locked())
	_, err = s.Create(someID)
	must.Error(t, err)
	must.NoError(t, stdin.Close())
	must.NoError(t, child.Wait())
	must.False(t, r.Locked())
	r, err = s.Create(someID)
	must.NoError(t, err)
	r.Unlock()
}

func TestRecord_ProbesDoNotDisturbEachOther(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	r.Unlock()
	results := make(chan bool)
	for range 8 {
		go func() {
			held := false
			for range 200 {
				held = held || r.Locked()
			}
			results <- held
		}()
	}
	for range 8 {
		must.False(t, <-results)
	}
}

func TestRecord_LinksAreNotFollowed(t *testing.T) {
	s := open(t)
	outside := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(outside, "task.json"), []byte(`{"version":1,"task":"secret"}`), 0o600))
	must.NoError(t, os.MkdirAll(filepath.Join(s.Dir(), "tasks/alloc/task"), 0o700))
	link(t, outside, filepath.Join(s.Dir(), "tasks/alloc/task/1"))
	_, err := s.Record(someID)
	must.ErrorContains(t, err, "not a folder")
	records, err := s.Records()
	must.NoError(t, err)
	must.SliceEmpty(t, records)

	r, err := s.Create(ID{"alloc", "task", "2"})
	must.NoError(t, err)
	defer r.Unlock()
	link(t, filepath.Join(outside, "task.json"), filepath.Join(r.Dir, "task.json"))
	_, err = r.ReadDetails()
	must.Error(t, err)
	must.NoError(t, r.WriteDetails(&Details{Task: "own"})) // replaces the link
	data, err := os.ReadFile(filepath.Join(outside, "task.json"))
	must.NoError(t, err)
	must.StrContains(t, string(data), "secret")
}

func TestRecords_ListAndSelect(t *testing.T) {
	s := open(t)
	records, err := s.Records()
	must.NoError(t, err)
	must.SliceEmpty(t, records)
	for _, id := range []ID{{"b", "t", "1"}, {"a", "u", "2"}, {"a", "t", "1"}, {"a", "t", "2"}} {
		r, err := s.Create(id)
		must.NoError(t, err)
		r.Unlock()
	}
	must.NoError(t, os.WriteFile(filepath.Join(s.Dir(), "tasks/stray"), nil, 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(s.Dir(), "tasks/a/t/stray"), nil, 0o600))
	for _, c := range []struct{ alloc, task, want string }{
		{"a", "t", "a/t/1 a/t/2"}, {"a", "", "a/t/1 a/t/2 a/u/2"}, {"b", "t", "b/t/1"}, {"c", "", ""},
	} {
		runs, _ := s.Runs(c.alloc, c.task)
		must.Eq(t, c.want, names(runs))
	}
	all, err := s.Records()
	must.Error(t, err) // the stray file, beside the rest
	must.Eq(t, "a/t/1 a/t/2 a/u/2 b/t/1", names(all))
}

func names(records []*Record) string {
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID.String())
	}
	return strings.Join(ids, " ")
}

func TestParseID(t *testing.T) {
	long := strings.Repeat("x", 201)
	for text, want := range map[string]string{
		"6b1f/solve/a1b2c3d4":  "",
		"a/b":                  "is not <alloc id>/<task>/<invocation>",
		"a/b/c/d":              "is not <alloc id>/<task>/<invocation>",
		"":                     "is not <alloc id>/<task>/<invocation>",
		"../b/c":               "not a plain name",
		"a/./c":                "not a plain name",
		"a//c":                 "not a plain name",
		"a/b/..":               "not a plain name",
		"a/b\x00/c":            "not a plain name",
		"a/" + long + "/c":     "not a plain name",
		"a/…/c":                "",
		"a/name with blanks/c": "",
	} {
		id, err := ParseID(text)
		if want == "" {
			must.NoError(t, err)
			must.Eq(t, text, id.String())
			continue
		}
		must.ErrorContains(t, err, want)
	}
}

// IDs that did not come through ParseID are checked as well.
func TestStore_RefusesIDsThatLeadOut(t *testing.T) {
	s := open(t)
	for _, id := range []ID{{"..", "..", "x"}, {"a", "b/../../..", "x"}, {"", "b", "c"}, {"a", "b", "."}} {
		_, err := s.Create(id)
		must.ErrorContains(t, err, "not a plain name")
		_, err = s.Record(id)
		must.ErrorContains(t, err, "not a plain name")
	}
	left, err := os.ReadDir(filepath.Join(s.Dir(), "tasks"))
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}

func FuzzParseID(f *testing.F) {
	for _, text := range []string{"a/b/c", "../../c", "a//c", "a/b\x00/c", strings.Repeat("x/", 9)} {
		f.Add(text)
	}
	root := "/srv/state/tasks"
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		path := filepath.Join(root, id.Alloc, id.Task, id.Invocation)
		rel, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(rel) || strings.Count(rel, "/") != 2 || id.String() != text {
			t.Fatalf("%q leads to %s", text, path)
		}
	})
}
