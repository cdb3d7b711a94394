// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package live

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

func openFolder(t *testing.T, dir string) *rundir.Folder {
	t.Helper()
	f, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// process is a process that has files of a folder open, and no others.
func process(t *testing.T, dir string, flag int, names ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	for _, name := range names {
		file, err := os.OpenFile(filepath.Join(dir, name), flag|os.O_CREATE, 0o644)
		must.NoError(t, err)
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	return cmd
}

// look has all processes looked at anew.
func look() {
	writers.mu.Lock()
	defer writers.mu.Unlock()
	writers.found = nil
}

func TestOf_aProcessThatWritesTheOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		flag  int
		files []string
		ask   string // "": the folder
		lives bool
	}{
		"a solver":                           {os.O_WRONLY, []string{"messag", "d3hsp"}, "", true},
		"one that appends":                   {os.O_RDWR | os.O_APPEND, []string{"messag", "d3hsp"}, "", true},
		"rank 0, with a jobid, of a restart": {os.O_WRONLY, []string{"job.mes010000", "job.d3hsp01"}, "", true},
		"a reader, as tail is":               {os.O_RDONLY, []string{"messag", "d3hsp"}, "", false},
		"a copy that is being made":          {os.O_WRONLY, []string{"d3hsp"}, "", false},
		"a shell that keeps the log open":    {os.O_WRONLY, []string{"stdout", "run.log"}, "", false},
		"its messages":                       {os.O_WRONLY, []string{"messag", "d3hsp"}, "messag", true},
		"its log":                            {os.O_WRONLY, []string{"messag", "d3hsp", "run.log"}, "run.log", true},
		"the log of an earlier run":          {os.O_WRONLY, []string{"messag", "d3hsp", "run.log"}, "old.log", false},
		"the messages of an earlier run":     {os.O_WRONLY, []string{"messag01", "d3hsp01"}, "messag", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := process(t, dir, c.flag, c.files...)
			look()
			f := openFolder(t, dir)
			proof := Of(f, c.ask)
			must.Eq(t, c.lives, proof != nil)
			must.Nil(t, Of(openFolder(t, t.TempDir()), ""))
			if !c.lives {
				return
			}
			must.StrContains(t, proof.Text, "on this machine writes its outputs")
			must.True(t, proof.Holds())
			must.NoError(t, p.Process.Kill())
			_ = p.Wait() // killed
			must.False(t, proof.Holds())
			must.Nil(t, Of(f, c.ask), must.Sprint("what was found a moment ago is looked at again"))
		})
	}
}

func TestOf_anOutputOfTheRunThatHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	since := time.Now().Add(-time.Hour)
	ticks, err := procfs.StartTicks(procfs.Root, os.Getppid())
	must.NoError(t, err)
	c, err := ownership.Of(f).Claim(ownership.Owner{
		Run: "a/t/i", Node: ownership.ThisNode("", ""), Since: since, Dir: &ownership.Dir{Device: f.ID().Dev, Inode: f.ID().Ino},
		Processes: []ownership.Process{{PID: os.Getppid(), StartTicks: ticks, Solver: true}},
	})
	must.NoError(t, err)
	for name, before := range map[string]bool{"stdout": false, "messag": false, "d3hsp": true, "stdout.1": false, "run.log": false, "d3dump01": false} {
		path := filepath.Join(dir, name)
		must.NoError(t, os.WriteFile(path, nil, 0o644))
		if before {
			must.NoError(t, os.Chtimes(path, since, since.Add(-time.Minute)))
		}
	}
	for name, lives := range map[string]bool{
		"": true, "stdout": true, "messag": true, "d3hsp": false, "stdout.1": false, "run.log": false, "d3dump01": false, "missing": false,
	} {
		proof := Of(f, name)
		must.Eq(t, lives, proof != nil, must.Sprint(name))
		if lives {
			must.True(t, proof.Holds())
		}
	}
	proof := Of(f, "")
	must.NoError(t, c.Release())
	must.False(t, proof.Holds())
	must.Nil(t, Of(f, ""))
	must.False(t, (*Proof)(nil).Holds())
}
