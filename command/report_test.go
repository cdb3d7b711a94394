// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

func TestInspectHTML_writesAPage(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	r := call(t, "inspect", "-html", dir, "-running")
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.StrHasPrefix(t, page.Marker, r.out)
	must.StrContains(t, r.out, ">Running<")
	must.StrContains(t, r.out, "i=main.k ncpu=2")

	file := filepath.Join(t.TempDir(), "page.html")
	must.NoError(t, os.WriteFile(file, []byte("what was there"), 0o600))
	r = call(t, "inspect", "-html", filepath.Join(dir, "stdout"), "-o", file)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.Eq(t, "", r.out)
	data, err := os.ReadFile(file)
	must.NoError(t, err)
	must.StrContains(t, string(data), ">Not known<")
	must.StrNotContains(t, string(data), `id="files"`)
}

// Root may replace a device by a file: what is no file is written to.
func TestWrite_replacesNothingButFiles(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	pipe := filepath.Join(t.TempDir(), "pipe")
	must.NoError(t, unix.Mkfifo(pipe, 0o600))
	link := pipe + ".link" // as /dev/stdout is one
	must.NoError(t, os.Symlink(pipe, link))
	for _, name := range []string{pipe, link} {
		got := make(chan []byte, 1)
		go func() {
			data, _ := os.ReadFile(pipe) // waits for who writes
			got <- data
		}()
		r := call(t, "inspect", "-html", dir, "-o", name)
		must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
		must.StrContains(t, string(<-got), "</html>")
	}
	r := call(t, "inspect", "-html", dir, "-o", t.TempDir())
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "is a directory")

	r = call(t, "metrics", "-state-dir", nodetest.StateDir(t), "-textfile", link)
	must.Eq(t, exitUsage, r.code)
	must.StrContains(t, r.errout, "is no regular file")
	for _, name := range []string{pipe, link} {
		info, err := os.Lstat(name)
		must.NoError(t, err)
		must.False(t, info.Mode().IsRegular())
	}
}

func TestInspectHTML_wrongCalls(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	for want, args := range map[string][]string{
		"name one":              {"-html", dir, dir},
		"without -json":         {"-html", "-json", dir},
		"-o goes with -html":    {"-o", "x.html", dir},
		"name a run folder":     {"-html"},
		"flag provided but not": {"-htm", dir},
	} {
		r := call(t, append([]string{"inspect"}, args...)...)
		must.Eq(t, exitUsage, r.code)
		must.StrContains(t, r.errout, want)
	}
	r := call(t, "inspect", "-html", t.TempDir())
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "holds no LS-DYNA output")
	r = call(t, "inspect", "-html", dir, "-o", filepath.Join(dir, "nowhere", "x.html"))
	must.Eq(t, exitNo, r.code)
}

func TestReport_ofATask(t *testing.T) {
	dir := nodetest.StateDir(t)
	nodetest.Task{
		Job: "crash-front", Alloc: "9c1f04d2-0001", Name: "lsdyna", Cores: []int{2, 3}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2),
		Spec: &supervisor.Spec{Command: "/opt/standin", Args: []string{"i=main.k", "-x", "LSTC_LICENSE_SERVER=31010@lic1"}, StdoutName: "stdout", StderrName: "stderr", Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone}},
	}.Make(t, dir)
	nodetest.Task{Job: "other", Alloc: "9c1f99aa-0001", Name: "lsdyna", Cores: []int{1}, Stdout: nodetest.Solving(2, 1e-2)}.Make(t, dir)
	nodetest.Task{
		Job: "over", Alloc: "77aa", Name: "lsdyna", Cores: []int{4}, Stdout: nodetest.Solving(2, 1e-2), Over: true,
		Exit: &supervisor.ExitRecord{Version: 1, Code: 137, Signal: 9, FinishedAt: time.Now()},
	}.Make(t, dir)
	sysfs := topologytest.Of(2, 1, 1, 2, 2).Sysfs(t)

	file := filepath.Join(t.TempDir(), "page.html")
	r := call(t, "report", "9c1f04d2", "-state-dir", dir, "-sysfs", sysfs, "-o", file)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	data, err := os.ReadFile(file)
	must.NoError(t, err)
	text := string(data)
	for _, want := range []string{">Running<", "crash-front", "r14-smp-d", `id="cores"`, "bound to 2 cores on 1 NUMA node", "/opt/standin i=main.k -x LSTC_LICENSE_SERVER=…", "9c1f04d2-0001", `id="eta"`} {
		must.StrContains(t, text, want)
	}
	must.StrNotContains(t, text, "lic1")

	r = call(t, "report", "77aa/lsdyna", "-state-dir", dir, "-sysfs", sysfs)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.StrContains(t, r.out, ">Killed<")
	must.StrContains(t, r.out, "signal 9, SIGKILL")

	for want, name := range map[string]string{"give more of the allocation": "9c1f", "there is no record of": "1234", "inspect -html RUNFOLDER": "77aa/post"} {
		r = call(t, "report", name, "-state-dir", dir)
		must.Eq(t, exitNo, r.code)
		must.StrContains(t, r.errout, want)
		must.Eq(t, "", r.out)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"a", "-state-dir", ""}} {
		must.Eq(t, exitUsage, call(t, append([]string{"report"}, args...)...).code)
	}
}
