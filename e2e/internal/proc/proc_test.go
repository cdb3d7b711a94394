// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proc

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

func TestParseStat(t *testing.T) {
	const rest = "1 4242 4241 34816 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200"
	for _, c := range []struct {
		name, stat string
		want       Process
		wrong      bool
	}{
		{name: "plain", stat: "4242 (sh) S " + rest, want: Process{PID: 4242, PPID: 1, Session: 4241, Terminal: 34816, State: 'S', StartTicks: 987654}},
		{name: "name with blanks and parentheses", stat: "7 (a) S (b) Z " + rest, want: Process{PID: 7, PPID: 1, Session: 4241, Terminal: 34816, State: 'Z', StartTicks: 987654}},
		{name: "empty", stat: "", wrong: true},
		{name: "no name", stat: "4242 sh S " + rest, wrong: true},
		{name: "cut short", stat: "4242 (sh) S 1 2 3", wrong: true},
		{name: "pid no number", stat: "x (sh) S " + rest, wrong: true},
		{name: "parenthesis closes first", stat: ") (", wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStat(c.stat)
			must.Eq(t, c.wrong, err != nil)
			if !c.wrong {
				must.Eq(t, c.want, got)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("4242 (sh) S 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200")
	f.Add(") (")
	f.Fuzz(func(t *testing.T, stat string) { _, _ = parseStat(stat) })
}

func TestParseCgroups(t *testing.T) {
	got, err := parseCgroups("5:cpu,cpuacct:/a:b\n2:cpuset:/\n0::/user.slice\n")
	must.NoError(t, err)
	must.Eq(t, map[string]string{"cpu": "/a:b", "cpuacct": "/a:b", "cpuset": "/", "": "/user.slice"}, got)
	_, err = parseCgroups("5:cpu\n")
	must.Error(t, err)
}

func FuzzParseCgroups(f *testing.F) {
	f.Add("5:cpu,cpuacct:/a\n0::/\n")
	f.Fuzz(func(t *testing.T, raw string) { _, _ = parseCgroups(raw) })
}

func TestChildOfOurs(t *testing.T) {
	cmd := exec.Command("cat")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "LSDYNA_PROC_TEST=yes")
	in, err := cmd.StdinPipe()
	must.NoError(t, err)
	out, err := cmd.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	// It echoes, so it is cat by now and no longer our own image.
	_, err = in.Write([]byte("ready\n"))
	must.NoError(t, err)
	_, err = bufio.NewReader(out).ReadString('\n')
	must.NoError(t, err)

	pid := cmd.Process.Pid
	p, err := Read(pid)
	must.NoError(t, err)
	must.Eq(t, os.Getpid(), p.PPID)
	must.Eq(t, []string{"cat"}, p.Args)
	must.True(t, p.Alive())
	must.Positive(t, p.StartTicks)
	cwd, err := filepath.EvalSymlinks(cmd.Dir)
	must.NoError(t, err)
	must.Eq(t, cwd, p.Cwd)

	for name, find := range map[string]func() ([]Process, error){
		"children":  func() ([]Process, error) { return Children(os.Getpid(), p.Exe) },
		"env":       func() ([]Process, error) { return WithEnv("LSDYNA_PROC_TEST=yes") },
		"wrong env": func() ([]Process, error) { return WithEnv("LSDYNA_PROC_TEST=ye") },
	} {
		found, err := find()
		must.NoError(t, err)
		if name == "wrong env" {
			must.Len(t, 0, found)
			continue
		}
		must.Len(t, 1, found, must.Sprint(name))
		must.Eq(t, pid, found[0].PID)
	}

	threads, err := ThreadCPUs(pid)
	must.NoError(t, err)
	must.MapContainsKey(t, threads, pid)
	must.NotEq(t, "", threads[pid])
	_, err = Status(pid, "NoSuchField")
	must.Error(t, err)

	must.NoError(t, in.Close())
	must.NoError(t, cmd.Wait())
	_, err = Read(pid)
	must.ErrorIs(t, err, fs.ErrNotExist)
}
