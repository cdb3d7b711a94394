// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// liveOwner is a run on this machine, in the folder, whose solver is p.
func liveOwner(f *Folder, p Process) Owner {
	p.Solver = true
	o := ownerHere("a", Process{PID: 1, StartTicks: 1 << 60}, p)
	o.Dir = &Dir{Device: f.ID().Dev, Inode: f.ID().Ino}
	return o
}

func elsewhere(o *Owner) {
	o.Node = Node{ID: "id-there", Name: "there", Host: "there", Boot: "another"}
}

// locked holds the lock of a folder as the run's plugin or supervisor does.
func locked(t *testing.T, dir string) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR|os.O_CREATE, 0o660)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, lock.Close()) })
	works, err := tryLock(lock)
	must.NoError(t, err)
	must.True(t, works)
}

func TestLive(t *testing.T) {
	ended := time.Now()
	for name, c := range map[string]struct {
		change func(*Owner)
		locked bool
		mark   string // in the lock's file
		want   string // "": nothing proves it
	}{
		"its solver lives":                                   {want: "its solver, process "},
		"it says that it has ended":                          {change: func(o *Owner) { o.Ended = &ended }, locked: true},
		"its solver is gone":                                 {change: func(o *Owner) { o.Processes[1].StartTicks++ }},
		"its solver is gone, and its outputs are being read": {change: func(o *Owner) { o.Processes[1].StartTicks++ }, locked: true},
		"only its supervisor lives": {change: func(o *Owner) {
			o.Processes[0], o.Processes[1] = o.Processes[1], o.Processes[0]
			o.Processes[0].Solver, o.Processes[1].Solver = false, true
		}},
		"the record of an earlier version names no solver": {change: func(o *Owner) { o.Processes[1].Solver = false }},
		"a copy of the folder":                             {change: func(o *Owner) { o.Dir.Inode++ }, locked: true},
		"a folder of the same number on another disk":      {change: func(o *Owner) { o.Dir.Device++ }},
		"nothing tells which folder it was":                {change: func(o *Owner) { o.Dir = nil }, locked: true},
		"before this machine was started":                  {change: func(o *Owner) { o.Node.Boot = "before" }},
		"on another machine, silent":                       {change: elsewhere},
		"on another machine, with the lock":                {change: elsewhere, locked: true, want: "on node there holds the folder's lock"},
		"on another machine, over by its supervisor":       {change: elsewhere, locked: true, mark: durable.EndMark("a")},
		"a container beside this one":                      {change: func(o *Owner) { o.Node.PIDs = "pid:[1]" }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := openFolder(t, dir)
			o := liveOwner(f, living(t))
			if c.change != nil {
				c.change(&o)
			}
			plantOwner(t, f, o)
			if c.mark != "" {
				write(t, dir, LockFile, c.mark)
			}
			if c.locked {
				locked(t, dir)
			}
			l, ok := f.Live()
			must.Eq(t, c.want != "", ok, must.Sprint(l.By))
			if c.want != "" {
				must.StrContains(t, l.By, c.want)
				must.Eq(t, o.Since, l.Since)
			}
		})
	}
}

func TestLive_endsWithTheSolver(t *testing.T) {
	f := openFolder(t, t.TempDir())
	solver := exec.CommandContext(t.Context(), "sleep", "1000")
	must.NoError(t, solver.Start())
	ticks, err := procfs.StartTicks(procfs.Root, solver.Process.Pid)
	must.NoError(t, err)
	plantOwner(t, f, liveOwner(f, Process{PID: solver.Process.Pid, StartTicks: ticks}))
	_, ok := f.Live()
	must.True(t, ok)
	must.NoError(t, solver.Process.Kill())
	_ = solver.Wait() // killed
	_, ok = f.Live()
	must.False(t, ok)
}

// A start that looks who has the folder, at the same moment, finds it free.
func TestLive_takesNoLock(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	o := liveOwner(f, living(t))
	elsewhere(&o)
	o.Ended = nil
	plantOwner(t, f, o)
	write(t, dir, LockFile, durable.EndMark("a"))
	looked, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		other := openFolder(t, dir)
		for {
			select {
			case <-stop:
				return
			default:
				other.Live()
			}
		}
	}()
	for range 100 {
		lock, works, err := f.takeLock()
		must.NoError(t, err)
		must.True(t, works)
		must.NoError(t, unlock(lock))
	}
	close(stop)
	<-looked
}
