// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// ownerHere is a run on this machine whose processes are those given.
func ownerHere(run string, processes ...Process) Owner {
	return Owner{
		Run: run, Job: "crash", Task: "solve", Alloc: "alloc-of-" + run, Node: ThisNode("id-here", "here"),
		Since: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Processes: processes,
	}
}

// living is a process that lives for as long as the test, and is not the one that asks.
func living(t *testing.T) Process {
	t.Helper()
	ticks, err := procfs.StartTicks(procfs.Root, os.Getppid())
	must.NoError(t, err)
	return Process{PID: os.Getppid(), StartTicks: ticks}
}

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return Of(f)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// withoutLocks makes every file system one that has no locks.
func withoutLocks(t *testing.T) {
	was := tryLock
	tryLock = func(*os.File) (bool, error) { return false, nil }
	t.Cleanup(func() { tryLock = was })
}

func plantOwner(t *testing.T, f *Folder, o Owner) {
	t.Helper()
	must.NoError(t, f.writeOwner(o))
}

func mustOwned(t *testing.T, err error) *OwnedError {
	t.Helper()
	var owned *OwnedError
	must.True(t, errors.As(err, &owned), must.Sprintf("%v", err))
	return owned
}

func TestClaim_theSecondRunIsRefusedUntilTheFirstGivesTheFolderBack(t *testing.T) {
	dir := t.TempDir()
	first, second := openFolder(t, dir), openFolder(t, dir)
	c, err := first.Claim(ownerHere("a"))
	must.NoError(t, err)
	_, err = second.Claim(ownerHere("b"))
	owned := mustOwned(t, err)
	must.True(t, owned.Locked)
	must.StrContains(t, err.Error(), "task solve of job crash (allocation alloc-of) runs there on node here")

	must.NoError(t, c.Release())
	o, err := second.ReadOwner()
	must.NoError(t, err)
	must.Eq(t, "a", o.Run)
	must.NotNil(t, o.Ended)
	c, err = second.Claim(ownerHere("b"))
	must.NoError(t, err)
	must.NoError(t, c.Release())
}

func TestClaim_aRunThatHasLeftIsNotNamed(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	c, err := folder.Claim(ownerHere("a"))
	must.NoError(t, err)
	must.NoError(t, c.Release())
	stranger, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR, 0)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, stranger.Close()) })
	works, err := tryLock(stranger)
	must.NoError(t, err)
	must.True(t, works)
	_, err = folder.Claim(ownerHere("b"))
	must.Eq(t, Owner{}, mustOwned(t, err).Owner)
	must.StrContains(t, err.Error(), "a process that is not known holds the lock")
}

// A supervisor has the lock through a descriptor of the same open file: it is held
// until both have let go.
func TestClaim_theLockIsHeldByWhoeverHasItLast(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	c, err := folder.Claim(ownerHere("a"))
	must.NoError(t, err)
	supervisors, err := c.Lock()
	must.NoError(t, err)
	c.Drop() // the plugin dies
	_, err = folder.Claim(ownerHere("b"))
	must.True(t, mustOwned(t, err).Locked)

	// It marks the end that nobody else sees.
	_, err = supervisors.WriteAt([]byte(durable.EndMark("a")), 0)
	must.NoError(t, err)
	must.NoError(t, supervisors.Close())
	_, err = folder.Claim(ownerHere("b"))
	must.NoError(t, err)
}

func TestClaim_byTheRecord(t *testing.T) {
	ended := time.Now()
	other := func(o Owner) Owner {
		o.Node = Node{ID: "id-there", Name: "there", Host: "there", Boot: "another boot"}
		return o
	}
	for name, c := range map[string]struct {
		before Owner
		change func(*Owner)
		mark   string
		free   bool
	}{
		"a run of this machine that lives":               {before: ownerHere("a", living(t))},
		"a run of this machine whose processes are gone": {before: ownerHere("a", Process{PID: 1, StartTicks: 1 << 60}), free: true},
		"a run of another machine, however old":          {before: other(ownerHere("a"))},
		"a run of another machine that has ended":        {before: other(ownerHere("a")), change: func(o *Owner) { o.Ended = &ended }, free: true},
		"a run whose supervisor marked its end":          {before: other(ownerHere("a")), mark: durable.EndMark("a"), free: true},
		"a run before which another marked its end":      {before: other(ownerHere("a")), mark: durable.EndMark("z")},
		"a mark that was cut":                            {before: other(ownerHere("a")), mark: "ended a"},
		"an earlier boot of this machine": {before: ownerHere("a", living(t)), free: true, change: func(o *Owner) {
			o.Node.Boot = "before"
		}},
		"another machine of the same name": {before: ownerHere("a"), change: func(o *Owner) {
			o.Node.Boot, o.Node.ID = "before", "id-there"
		}},
		"another machine with a copied id": {before: ownerHere("a"), change: func(o *Owner) {
			o.Node.Boot, o.Node.Host = "before", "twin"
		}},
		"a container beside this one, whose processes cannot be seen": {before: ownerHere("a", Process{PID: 1, StartTicks: 1 << 60}), change: func(o *Owner) {
			o.Node.ID, o.Node.PIDs = "id-beside", "pid:[1]"
		}},
		"this container before it was started anew": {before: ownerHere("a", living(t)), free: true, change: func(o *Owner) {
			o.Node.PIDs, o.Processes[0].StartTicks = "pid:[1]", 1<<60
		}},
		"a run of which nothing tells whether it lives": {before: ownerHere("a")},
		"a machine that does not tell its boot":         {before: ownerHere("a"), change: func(o *Owner) { o.Node.Boot = "" }},
		"a copy of another allocation's folder": {before: other(ownerHere("a")), free: true, change: func(o *Owner) {
			o.InAlloc = true
		}},
		"the run itself": {before: other(ownerHere("b")), free: true},
	} {
		for _, locks := range []bool{true, false} {
			t.Run(name+map[bool]string{true: "", false: ", without locks"}[locks], func(t *testing.T) {
				if !locks {
					withoutLocks(t)
				}
				dir := t.TempDir()
				folder := openFolder(t, dir)
				if c.change != nil {
					c.change(&c.before)
				}
				plantOwner(t, folder, c.before)
				write(t, dir, LockFile, c.mark)
				wants := ownerHere("b")
				wants.InAlloc = true
				claim, err := folder.Claim(wants)
				now, readErr := folder.ReadOwner()
				must.NoError(t, readErr)
				if !c.free {
					must.ErrorContains(t, err, "release-folder "+dir)
					must.False(t, mustOwned(t, err).Locked)
					must.Eq(t, "a", now.Run)
					return
				}
				must.NoError(t, err)
				must.Eq(t, "b", now.Run)
				must.Nil(t, now.Ended)
				must.NoError(t, claim.Release())
				entries, err := os.ReadDir(dir)
				must.NoError(t, err)
				must.Len(t, 2, entries, must.Sprintf("%v: nothing is left behind but lock and record", entries))
			})
		}
	}
}

func TestClaim_aDamagedRecord(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"version":1,"run":"a`, "not JSON": "hello", "no run": `{"version":1}`, "huge": strings.Repeat("x", maxOwner+1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, OwnerFile, content)
			folder := openFolder(t, dir)
			t.Run("without locks it may be a run's", func(t *testing.T) {
				withoutLocks(t)
				_, err := folder.Claim(ownerHere("b"))
				mustOwned(t, err)
				must.StrContains(t, err.Error(), "release-folder")
			})
			c, err := folder.Claim(ownerHere("b"))
			must.NoError(t, err)
			must.NoError(t, c.Release())
		})
	}
}

// Whatever the user puts in their places is neither followed nor waited for.
func TestClaim_whatIsNoFile(t *testing.T) {
	for _, name := range []string{LockFile, OwnerFile} {
		target := write(t, t.TempDir(), "target", "precious")
		for what, plant := range map[string]func(string) error{
			"link":      func(path string) error { return os.Symlink(target, path) },
			"fifo":      func(path string) error { return unix.Mkfifo(path, 0o644) },
			"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		} {
			t.Run(name+" is a "+what, func(t *testing.T) {
				dir := t.TempDir()
				must.NoError(t, plant(filepath.Join(dir, name)))
				_, err := openFolder(t, dir).Claim(ownerHere("b"))
				if name == LockFile {
					must.ErrorContains(t, err, "not a regular file: remove it")
				}
				data, err := os.ReadFile(target)
				must.NoError(t, err)
				must.Eq(t, "precious", string(data))
			})
		}
	}
}

// Whoever can open the file can hold its lock, and keep all runs out of the folder.
func TestClaim_othersCannotOpenTheLock(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, LockFile, "")
	must.NoError(t, os.Chmod(path, 0o666))
	_, err := openFolder(t, dir).Claim(ownerHere("a"))
	must.NoError(t, err)
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Eq(t, 0o660, info.Mode().Perm(), must.Sprint("his group may be a project's"))
}

func TestClaim_aLockFileThatWasReplacedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	folder := openFolder(t, dir)
	was := tryLock
	t.Cleanup(func() { tryLock = was })
	replaced := false
	tryLock = func(f *os.File) (bool, error) {
		if !replaced {
			replaced = true
			must.NoError(t, os.Remove(filepath.Join(dir, LockFile)))
			write(t, dir, LockFile, "")
		}
		return was(f)
	}
	_, err := folder.Claim(ownerHere("a"))
	must.NoError(t, err)
	_, err = folder.Claim(ownerHere("b"))
	must.True(t, mustOwned(t, err).Locked, must.Sprint("the lock of the file that is there now"))
}

func TestOwner_forgedNamesAreOneLine(t *testing.T) {
	o := Owner{Run: "a", Job: "x\n\x1b[31mall is well", Task: strings.Repeat("t", 5000), Node: Node{Name: "n\nn"}}
	for _, text := range []string{o.String(), o.Node.String()} {
		must.False(t, strings.ContainsAny(text, "\n\x1b"))
		must.Less(t, 700, len(text))
	}
}

func TestReleaseOwner(t *testing.T) {
	there := ownerHere("a")
	there.Node = Node{ID: "id-there", Name: "there", Host: "there", Boot: "another boot"}
	dir := t.TempDir()
	folder := openFolder(t, dir)
	_, err := folder.ReleaseOwner()
	must.ErrorIs(t, err, os.ErrNotExist)

	plantOwner(t, folder, there)
	o, err := folder.ReleaseOwner()
	must.NoError(t, err)
	must.Eq(t, "a", o.Run)
	_, err = folder.Claim(ownerHere("b"))
	must.NoError(t, err)
	_, err = folder.ReleaseOwner()
	must.True(t, mustOwned(t, err).Locked, must.Sprint("a run that lives is nobody's to release"))
}

// A start that waits for the folder looks again and again who has it.
func TestReleaseOwner_whileAStartLooks(t *testing.T) {
	folder := openFolder(t, t.TempDir())
	plantOwner(t, folder, Owner{Run: "lost", Node: Node{Name: "far-away", Boot: "another"}})
	was, looks := tryLock, 0
	tryLock = func(file *os.File) (bool, error) {
		if looks++; looks < 3 {
			return false, errHeld
		}
		return was(file)
	}
	t.Cleanup(func() { tryLock = was })
	o, err := folder.ReleaseOwner()
	must.NoError(t, err)
	must.Eq(t, "lost", o.Run)
	must.Eq(t, 3, looks)
}

func TestReleaseOwner_notUnderALivingSolver(t *testing.T) {
	withoutLocks(t)
	folder := openFolder(t, t.TempDir())
	plantOwner(t, folder, ownerHere("a", living(t)))
	_, err := folder.ReleaseOwner()
	mustOwned(t, err)
}

// What the operator of a machine sees when two plugins meet in one folder.
func TestOwnedError_saysWhatToDo(t *testing.T) {
	o := ownerHere("a")
	for want, e := range map[string]*OwnedError{
		"runs there on node here":                {Folder: "/f", Owner: o, Locked: true},
		"a process that is not known":            {Folder: "/f", Locked: true},
		"release-folder /f":                      {Folder: "/f", Owner: o},
		"damaged, and the file system has no":    {Folder: "/f"},
		"has had the run folder since":           {Folder: "/f", Owner: o, Since: true},
		"two solvers in one folder destroy each": {Folder: "/f", Owner: o, Locked: true},
	} {
		must.StrContains(t, e.Error(), want)
	}
}

// oneKind is a file system to which both ways of locking are one, as to an SMB server:
// a locked file is locked, whoever asks and however.
type oneKind struct{ holder int }

func (k *oneKind) lock() lockKind {
	return lockKind{
		take: func(fd int) error {
			if k.holder != 0 {
				return unix.EACCES
			}
			k.holder = fd
			return nil
		},
		give: func(fd int) error {
			if k.holder == fd {
				k.holder = 0
			}
			return nil
		},
	}
}

func TestLockBoth(t *testing.T) {
	held := lockKind{take: func(int) error { return unix.EWOULDBLOCK }, give: func(int) error { return nil }}
	none := lockKind{take: func(int) error { return unix.ENOLCK }, give: func(int) error { return nil }}
	var x, y oneKind
	for name, c := range map[string]struct {
		a, b  lockKind
		works bool
		err   error
	}{
		"both":                      {a: x.lock(), b: y.lock(), works: true},
		"neither is there":          {a: none, b: none},
		"the first is held":         {a: held, b: new(oneKind).lock(), err: errHeld},
		"the second is held":        {a: new(oneKind).lock(), b: held, err: errHeld},
		"the second alone is there": {a: none, b: new(oneKind).lock(), works: true},
		"the first alone is there":  {a: new(oneKind).lock(), b: none, works: true},
	} {
		t.Run(name, func(t *testing.T) {
			works, err := lockBoth(3, c.a, c.b)
			must.ErrorIs(t, err, c.err)
			must.Eq(t, c.works, works)
		})
	}
	t.Run("both are one", func(t *testing.T) {
		var k oneKind
		works, err := lockBoth(3, k.lock(), k.lock())
		must.NoError(t, err)
		must.True(t, works)
		must.Eq(t, 3, k.holder)
		_, err = lockBoth(4, k.lock(), k.lock())
		must.ErrorIs(t, err, errHeld)
		must.Eq(t, 3, k.holder)
	})
}
