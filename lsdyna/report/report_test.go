// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

func folder(t *testing.T, files map[string]string) (*rundir.Folder, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	f, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f, dir
}

func TestList_familiesAndLinks(t *testing.T) {
	f, dir := folder(t, map[string]string{
		"d3plot": "12345", "d3plot01": "123", "d3plot117": "12", "run7.d3plot01": "1", "main.k": "12", "mes0000": "1", "mes0001": "1",
		"d3dump01.0000": "1234567", "d3dump01.0001": "1234567", "d3dump02": "123", "part12": "1", "binout0000": "12345678", ".lsdyna-run.json": "{}",
	})
	must.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	must.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	there, err := list(f)
	must.NoError(t, err)
	sizes := map[string]int64{}
	for _, one := range there.Files {
		sizes[one.Name] = one.Bytes
	}
	must.Eq(t, map[string]int64{
		"d3plot*": 10, "run7.d3plot*": 1, "main.k": 2, "mes*": 2, "d3dump01.*": 14, "d3dump02": 3, "part12": 1, "binout*": 8,
	}, sizes)
	must.Eq(t, 12, there.Count)
	must.Eq(t, 41, there.Bytes)
	must.Eq(t, map[string]int64{"d3dump01": 14, "d3dump02": 3}, there.Dumps)
	must.Eq(t, "d3dump01.*", there.Files[0].Name)
	must.False(t, there.More)
}

func TestGather_takesWhatThereIs(t *testing.T) {
	f, dir := folder(t, map[string]string{"stdout": "x", "glstat": " time...........................   1.00000E-03\n total energy...................   5.00000E+00\n"})
	var p page.Page
	s := output.Snapshot{Header: output.Header{Host: "compute-7"}, Process: output.Process{CommandLine: "i=main.k"}}
	Gather(f, "", s, output.Report{Outcome: output.Completed}, &p)
	must.Eq(t, filepath.Base(dir), p.Title)
	must.Eq(t, dir, p.Place.Path)
	must.Eq(t, "compute-7", p.Place.Host)
	must.Eq(t, "i=main.k", p.CommandLine)
	must.NotEq(t, "", p.Place.User)
	must.Eq(t, 2, p.Folder.Count)

	known := page.Page{Title: "mine", CommandLine: "solver i=other.k", Place: page.Place{User: "dora", Job: "crash"}}
	Gather(f, "stdout", s, output.Report{}, &known)
	must.Eq(t, []string{"mine", "solver i=other.k", "dora"}, []string{known.Title, known.CommandLine, known.Place.User})
	must.Eq(t, 0, known.Folder.Count) // one output was asked for
}

func TestSave_overwritesOnlyPages(t *testing.T) {
	data, err := (&page.Page{Title: "run"}).Render()
	must.NoError(t, err)
	const users = "<html>the user's own</html>"
	for name, c := range map[string]struct {
		there map[string]string
		saved string
		kept  map[string]string
	}{
		"nothing there":       {nil, Name, nil},
		"an older page":       {map[string]string{Name: page.Marker + "old"}, Name, nil},
		"the user's own":      {map[string]string{Name: users}, OtherName, map[string]string{Name: users}},
		"an empty file":       {map[string]string{Name: ""}, OtherName, map[string]string{Name: ""}},
		"begins like a page":  {map[string]string{Name: page.Marker[:20]}, OtherName, map[string]string{Name: page.Marker[:20]}},
		"and an older page":   {map[string]string{Name: users, OtherName: page.Marker}, OtherName, map[string]string{Name: users}},
		"both are the user's": {map[string]string{Name: users, OtherName: users}, "", map[string]string{Name: users, OtherName: users}},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := folder(t, c.there)
			saved, err := Save(f, data)
			must.Eq(t, c.saved, saved)
			if c.saved == "" {
				must.ErrorContains(t, err, "rename one of them")
			} else {
				must.NoError(t, err)
				got, err := os.ReadFile(filepath.Join(dir, saved))
				must.NoError(t, err)
				must.Eq(t, string(data), string(got))
			}
			for file, content := range c.kept {
				got, err := os.ReadFile(filepath.Join(dir, file))
				must.NoError(t, err)
				must.Eq(t, content, string(got))
			}
			entries, err := os.ReadDir(dir)
			must.NoError(t, err)
			for _, e := range entries {
				must.False(t, strings.HasPrefix(e.Name(), "."), must.Sprint(e.Name()))
			}
		})
	}
}

func TestSave_followsNoLink(t *testing.T) {
	data, err := (&page.Page{}).Render()
	must.NoError(t, err)
	f, dir := folder(t, nil)
	victim := filepath.Join(t.TempDir(), "victim")
	must.NoError(t, os.WriteFile(victim, []byte(page.Marker), 0o644))
	must.NoError(t, os.Symlink(victim, filepath.Join(dir, Name)))
	must.NoError(t, unix.Mkfifo(filepath.Join(dir, OtherName), 0o644))
	_, err = Save(f, data)
	must.ErrorContains(t, err, "rename one of them")
	got, err := os.ReadFile(victim)
	must.NoError(t, err)
	must.Eq(t, page.Marker, string(got))
}

func TestCommandLine_withoutSecrets(t *testing.T) {
	for want, args := range map[string][]string{
		"/opt/s i=main.k ncpu=8":                        {"i=main.k", "ncpu=8"},
		"/opt/s 'a b' 'it'\\''s' ''":                    {"a b", "it's", ""},
		"/opt/s -x LSTC_LICENSE_SERVER=… i=main.k":      {"-x", "LSTC_LICENSE_SERVER=31010@lic1", "i=main.k"},
		"/opt/s LSTC_LICENSE=… i=/opt/license.d/main.k": {"LSTC_LICENSE=network", "i=/opt/license.d/main.k"},
		"/opt/s -genv ANSYSLMD_LICENSE_FILE … -np 4":    {"-genv", "ANSYSLMD_LICENSE_FILE", "1055@a", "-np", "4"},
		"/opt/s --token … i=main.k":                     {"--token", "abc", "i=main.k"},
	} {
		must.Eq(t, want, CommandLine("/opt/s", args))
	}
}

func TestExitText(t *testing.T) {
	must.Eq(t, "exit code 3", ExitText(3, 0, false))
	must.Eq(t, "signal 9, SIGKILL; the kernel killed a process for want of memory", ExitText(137, 9, true))
	must.Eq(t, "signal 77", ExitText(205, 77, false))
}
