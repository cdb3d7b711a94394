// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package solvercheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// disk is a file system of executables and others, parts of which may hang.
type disk struct {
	files fstest.MapFS

	mu    sync.Mutex // guards what follows
	hangs map[string]chan struct{}
	looks map[string]int
}

func newDisk(modes map[string]fs.FileMode) *disk {
	d := &disk{files: fstest.MapFS{}, hangs: map[string]chan struct{}{}, looks: map[string]int{}}
	for path, mode := range modes {
		d.files[strings.TrimPrefix(path, "/")] = &fstest.MapFile{Mode: mode}
	}
	return d
}

func (d *disk) stat(path string) (fs.FileInfo, error) {
	d.mu.Lock()
	d.looks[path]++
	hang := d.hangs[path]
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return d.files.Stat(strings.TrimPrefix(path, "/"))
}

// hang lets no look at a path end until resume is called.
func (d *disk) hang(path string) (resume func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hang := make(chan struct{})
	d.hangs[path] = hang
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.hangs, path)
		close(hang)
	}
}

func (d *disk) looked(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looks[path]
}

var (
	smp = lsdyna.Solver{Name: "smp", Path: "/opt/smp"}
	mpp = lsdyna.Solver{Name: "mpp", Path: "/net/mpp", MPIRun: "/net/mpirun"}
)

func all() map[string]fs.FileMode {
	return map[string]fs.FileMode{smp.Path: 0o755, mpp.Path: 0o500, mpp.MPIRun: 0o755}
}

func TestCheck_SaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		solver lsdyna.Solver
		modes  map[string]fs.FileMode
		want   string // "" for nothing
	}{
		"is there":                {smp, all(), ""},
		"with its launcher":       {mpp, all(), ""},
		"is missing":              {smp, nil, "open opt/smp: file does not exist"},
		"is no executable":        {smp, map[string]fs.FileMode{smp.Path: 0o644}, "/opt/smp is not an executable file"},
		"is a folder":             {smp, map[string]fs.FileMode{smp.Path: 0o755 | fs.ModeDir}, "/opt/smp is not an executable file"},
		"its launcher is missing": {mpp, map[string]fs.FileMode{mpp.Path: 0o755}, "open net/mpirun: file does not exist"},
		"both are missing":        {mpp, nil, "open net/mpp: file does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			checker := New(newDisk(c.modes).stat)
			err := checker.Check(t.Context(), c.solver)
			must.NoError(t, checker.Wait(t.Context()))
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.want)
		})
	}
}

// What else a configuration names is looked at as solvers are.
func TestCheckAll_KnowsKinds(t *testing.T) {
	d := newDisk(map[string]fs.FileMode{"/scratch": 0o755 | fs.ModeDir, "/opt/lstc_qrun": 0o755, "/opt/LICENSE": 0o644})
	c := New(d.stat)
	for thing, want := range map[Thing]string{
		{"/scratch", Folder}:            "",
		{"/opt/lstc_qrun", Executable}:  "",
		{"/opt/LICENSE", File}:          "",
		{"/data", Folder}:               "open data: file does not exist",
		{"/opt/LICENSE", Folder}:        "/opt/LICENSE is not a folder",
		{"/opt/LICENSE", Executable}:    "/opt/LICENSE is not an executable file",
		{"/scratch", File}:              "/scratch is not a file",
		{"/scratch", Executable}:        "/scratch is not an executable file",
		{"/opt/lstc_qrun/more", Folder}: "open opt/lstc_qrun/more: file does not exist",
	} {
		err := c.CheckAll(t.Context(), []Thing{thing})[0]
		if want == "" {
			must.NoError(t, err)
			continue
		}
		must.EqError(t, err, want)
	}
	must.NoError(t, c.Wait(t.Context()))
}

func TestCheck_OfTheRealFileSystem(t *testing.T) {
	path := t.TempDir() + "/solver"
	c := New(os.Stat)
	must.ErrorIs(t, c.Check(t.Context(), lsdyna.Solver{Path: path}), fs.ErrNotExist)
	must.NoError(t, os.WriteFile(path, nil, 0o700))
	must.NoError(t, c.Check(t.Context(), lsdyna.Solver{Path: path}))
	must.NoError(t, c.Wait(t.Context()))
}

// A file server that does not trust root may trust the task's user.
func TestCheck_LeavesToTheUserWhatRootMayNotLookAt(t *testing.T) {
	refuse := func(string) (fs.FileInfo, error) { return nil, unix.EACCES }
	c := New(refuse)
	err := c.Check(t.Context(), smp)
	must.NoError(t, c.Wait(t.Context()))
	if os.Geteuid() == 0 {
		must.NoError(t, err)
		return
	}
	must.ErrorIs(t, err, fs.ErrPermission)
}

func TestCheck_LooksAnewEachTime(t *testing.T) {
	d := newDisk(all())
	c := New(d.stat)
	must.NoError(t, c.Check(t.Context(), smp))
	d.files["opt/smp"].Mode = 0o644
	must.ErrorContains(t, c.Check(t.Context(), smp), "not an executable file")
	must.NoError(t, c.Wait(t.Context()))
	must.Eq(t, 2, d.looked(smp.Path))
}

func TestCheckAll_APathThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		resume := d.hang(mpp.Path)
		c := New(d.stat)
		begun := time.Now()
		errs := c.CheckAll(t.Context(), append(Of(mpp), Of(smp)...))
		must.Eq(t, Patience, time.Since(begun))
		must.NoError(t, errs[1])
		must.NoError(t, errs[2])
		var none *NoAnswerError
		must.True(t, errors.As(errs[0], &none))
		must.Eq(t, NoAnswerError{Path: mpp.Path, Since: begun}, *none)
		must.StrHasPrefix(t, "/net/mpp does not answer since 2000-01-01 00:00:00 ", errs[0].Error())
		must.StrHasSuffix(t, ": is its file server down?", errs[0].Error())

		resume()
		must.NoError(t, c.Wait(t.Context()))
		must.NoError(t, c.Check(t.Context(), mpp))
	})
}

// Every solver of a node may be on one server: the looks hang together, not one
// after another.
func TestCheckAll_WaitsOnceForAllThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		c := New(d.stat)
		for _, path := range []string{smp.Path, mpp.Path, mpp.MPIRun} {
			defer d.hang(path)()
		}
		begun := time.Now()
		for _, err := range c.CheckAll(t.Context(), append(Of(mpp), Of(smp)...)) {
			must.ErrorContains(t, err, "does not answer")
		}
		must.Eq(t, Patience, time.Since(begun))
	})
}

func TestCheck_APathThatHangsIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		resume := d.hang(smp.Path)
		c := New(d.stat)
		first := c.Check(t.Context(), smp)
		for range 10 {
			time.Sleep(30 * time.Second) //nolint:forbidigo // of the bubble's clock
			begun := time.Now()
			must.Eq(t, first.Error(), c.Check(t.Context(), smp).Error(), must.Sprint("a text that changes is a raft write"))
			must.Eq(t, 0, time.Since(begun), must.Sprint("nobody waits for it twice"))
		}
		must.Eq(t, 1, d.looked(smp.Path))
		resume()
		synctest.Wait()
		must.NoError(t, c.Check(t.Context(), smp))
		must.Eq(t, 2, d.looked(smp.Path))
	})
}

func TestCheck_TakesALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(map[string]fs.FileMode{})
		resume := d.hang(smp.Path)
		c := New(d.stat)
		time.AfterFunc(Patience/2, resume)
		begun := time.Now()
		must.ErrorIs(t, c.Check(t.Context(), smp), fs.ErrNotExist)
		must.Eq(t, Patience/2, time.Since(begun))
	})
}

// The second of two callers joins the look of the first, and its patience.
func TestCheck_CallersShareALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		resume := d.hang(smp.Path)
		c := New(d.stat)
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				if err := c.Check(t.Context(), smp); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		resume()
		callers.Wait()
		must.Eq(t, 1, d.looked(smp.Path))
	})
}

func TestCheck_EndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		defer d.hang(smp.Path)()
		ctx, cancel := context.WithTimeout(t.Context(), Patience/3)
		defer cancel()
		begun := time.Now()
		must.ErrorContains(t, New(d.stat).Check(ctx, smp), "does not answer")
		must.Eq(t, Patience/3, time.Since(begun))
	})
}

func TestWait_IsBoundedByTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		resume := d.hang(smp.Path)
		c := New(d.stat)
		must.Error(t, c.Check(t.Context(), smp))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must.ErrorContains(t, c.Wait(ctx), "/opt/smp does not answer")
		resume()
		must.NoError(t, c.Wait(t.Context()))
	})
}

// Jobs that name executables on a dead file server must not take a thread each
// without end, nor keep the node's own solvers from being looked at.
func TestCheck_LooksAtCommandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(all())
		c := New(d.stat)
		for i := range maxCommandLooks {
			path := fmt.Sprintf("/dead/%d", i)
			defer d.hang(path)()
			_, err := c.begin(Of(lsdyna.Solver{Path: path}), true)
			must.NoError(t, err)
		}
		must.EqError(t, c.Check(t.Context(), lsdyna.Solver{Path: "/dead/more"}),
			"/dead/more: 256 other paths do not answer: is a file server down?")
		must.NoError(t, c.Check(t.Context(), smp))
		must.ErrorContains(t, c.Check(t.Context(), lsdyna.Solver{Path: "/dead/0"}), "/dead/0 does not answer")
	})
}
