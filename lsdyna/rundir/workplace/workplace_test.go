// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package workplace

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// workingIn starts a process in a folder, which ends with the test.
func workingIn(t *testing.T, dir string) procfs.Identity {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Dir = dir
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	id := procfs.Identity{PID: cmd.Process.Pid}
	var err error
	id.StartTicks, err = procfs.StartTicks(procfs.Root, id.PID)
	must.NoError(t, err)
	id.BootID, err = procfs.BootID(procfs.Root)
	must.NoError(t, err)
	return id
}

func TestPlace_Check(t *testing.T) {
	remove := func(t *testing.T, dir string) { must.NoError(t, os.Remove(dir)) }
	remake := func(t *testing.T, dir string) { remove(t, dir); must.NoError(t, os.Mkdir(dir, 0o755)) }
	move := func(t *testing.T, dir string) { must.NoError(t, os.Rename(dir, dir+"-elsewhere")) }
	for name, c := range map[string]struct {
		change     func(t *testing.T, dir string)
		place      func(w *Place) // what is different of it
		gone       bool
		words      string
		throughOld bool // by a link that leads to the folder's parent
	}{
		"it is there":                           {change: func(*testing.T, string) {}},
		"it was removed":                        {change: remove, gone: true, words: " was removed under its solver: process "},
		"it was removed and made anew":          {change: remake, gone: true, words: " was removed under its solver: process "},
		"the same, of a run of an older plugin": {change: remake, place: func(w *Place) { w.Dir = rundir.DirID{} }, gone: true, words: " was removed "},
		"its path has a link":                   {change: remove, throughOld: true, gone: true, words: " was removed "},
		"it was moved":                          {change: move, gone: true, words: " was moved, or unmounted, under its solver"},
		"the solver went elsewhere by itself":   {change: remove, place: func(w *Place) { w.Path += "/other"; w.Dir = rundir.DirID{Dev: 1, Ino: 1} }},
		"it works in another one by that path":  {change: remove, place: func(w *Place) { w.Dir.Ino++ }},
		"the solver has ended":                  {change: remove, place: func(w *Place) { w.Solver.StartTicks++ }},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "run")
			must.NoError(t, os.Mkdir(dir, 0o755))
			id, err := dirAt(dir)
			must.NoError(t, err)
			w := Place{Solver: workingIn(t, dir), Path: dir, Dir: id}
			if c.throughOld {
				link := filepath.Join(t.TempDir(), "link")
				must.NoError(t, os.Symlink(parent, link))
				w.Path = filepath.Join(link, "run")
			}
			if c.place != nil {
				c.place(&w)
			}
			c.change(t, dir)
			leads, err := w.Check(procfs.Root)
			must.Eq(t, name == "it is there", leads)
			if !c.gone {
				must.NoError(t, err)
				return
			}
			var gone *GoneError
			must.True(t, errors.As(err, &gone), must.Sprint(err))
			must.Eq(t, id, gone.Dir)
			must.StrContains(t, err.Error(), "the run folder "+w.Path+c.words)
		})
	}
}

// A file server does not know a folder any more that is removed, unlike a local disk.
func TestPlace_Check_onAFileServer(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	must.NoError(t, os.Mkdir(dir, 0o755))
	id, err := dirAt(dir)
	must.NoError(t, err)
	for name, c := range map[string]struct {
		cwd   string // what the kernel says of the working directory, which nobody can look at
		path  string
		dir   rundir.DirID
		gone  string
		leads bool
	}{
		"removed":                       {dir + "x (deleted)", dir + "x", id, "was removed under its solver: process ", false},
		"removed, of an older plugin":   {dir + "x (deleted)", dir + "x", rundir.DirID{}, "still works in it, and what it writes is lost", false},
		"removed, its path has a link":  {"/export/runx (deleted)", dir + "x", id, "was removed", false},
		"another folder was removed":    {parent + "/other (deleted)", dir + "x", id, "", false},
		"the server forgot it at first": {dir + " (deleted)", dir, id, "", true},
		"nobody noted which it was":     {dir + " (deleted)", dir, rundir.DirID{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			solver := workingIn(t, parent)
			proc, pid := t.TempDir(), strconv.Itoa(solver.PID)
			must.NoError(t, os.Mkdir(filepath.Join(proc, pid), 0o755))
			for _, file := range []string{pid + "/stat", "sys/kernel/random/boot_id"} {
				data, err := os.ReadFile(filepath.Join(procfs.Root, file))
				must.NoError(t, err)
				must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(proc, file)), 0o755))
				must.NoError(t, os.WriteFile(filepath.Join(proc, file), data, 0o644))
			}
			must.NoError(t, os.Symlink(c.cwd, filepath.Join(proc, pid, "cwd")))
			leads, err := Place{Solver: solver, Path: c.path, Dir: c.dir}.Check(proc)
			must.Eq(t, c.leads, leads)
			if c.gone == "" {
				must.NoError(t, err)
				return
			}
			var gone *GoneError
			must.True(t, errors.As(err, &gone), must.Sprint(err))
			must.True(t, gone.Removed)
			must.StrContains(t, err.Error(), c.gone)
		})
	}
}
