// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		text, fails string
		want        []block
	}{
		"those marked sh, in order": {
			text: "# A\n\n```sh\none\ntwo\n```\nwords\n```\nshown\n```\n```hcl\na = 1\n```\n```sh\nthree\n```\n",
			want: []block{{"a.md:3", "one\ntwo\n"}, {"a.md:14", "three\n"}},
		},
		"with other line ends": {text: "```sh\r\none\r\n```\r\n", want: []block{{"a.md:1", "one\r\n"}}},
		"none":                 {text: "words\n```\nshown\n```\n", fails: "a.md: says nothing to type"},
		"without an end":       {text: "```sh\none\n", fails: "a.md: its last block has no end"},
		"one in another":       {text: "```sh\none\n```sh\ntwo\n```\n", fails: "a.md:3: a fence inside a block"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := blocks("a.md", c.text)
			if c.fails != "" {
				must.EqError(t, err, c.fails)
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.want, found)
		})
	}
}

// Every block of the pages is shell that bash can read.
func TestPages_AreShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("needs bash: %v", err)
	}
	all, err := readPages("../../docs", pages)
	must.NoError(t, err)
	for _, b := range all {
		out, err := exec.Command(bash, "-n", "-c", b.text).CombinedOutput()
		must.NoError(t, err, must.Sprintf("%s: %s", b.where, out))
	}
}

// A command that fails ends the shell, in the middle of a block, too.
func TestScript_StopsWhereACommandFails(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("needs bash: %v", err)
	}
	text := script([]block{{"a.md:1", "echo one\nfalse\necho two\n"}, {"a.md:5", "echo three\n"}})
	out, err := exec.Command(bash, "-c", text).Output()
	must.Error(t, err)
	must.Eq(t, mark+"0\none\n", string(out))
}

func TestPromised(t *testing.T) {
	const run = "Driver  Allocated core 1 (1 core, NUMA node 0)\nSTANDIN-AFFINITY rank=0 pid=71 tid=71 thread=main cpus=1\nSTANDIN-AFFINITY rank=0 pid=71 tid=72 thread=worker0 cpus=1\nNormal termination at the end time: t = 0.06001 of 0.06\n"
	must.NoError(t, promised(run))
	for name, c := range map[string]struct{ old, new, fails string }{
		"not pinned":     {"cpus=1", "cpus=0-1", "the run was given core 1, and its solver was on 0-1"},
		"on another":     {"cpus=1", "cpus=0", "the run was given core 1, and its solver was on 0"},
		"a worker not":   {"worker0 cpus=1", "worker0 cpus=0-1", "the run was given core 1, and its solver was on 0-1"},
		"given none":     {"Allocated core 1", "Running without affinity", "nothing tells which core the run was given"},
		"no word of it":  {"STANDIN-AFFINITY", "", "nothing tells on which core the solver was"},
		"ended by error": {"Normal", "Error", "nothing tells how the run ended"},
	} {
		t.Run(name, func(t *testing.T) {
			must.ErrorContains(t, promised(strings.ReplaceAll(run, c.old, c.new)), c.fails)
		})
	}
}

const status = `Package: base
Status: install ok installed
Essential: yes
Pre-Depends: libc (>= 2)
Depends: first | second, virtual

Package: libc
Status: install ok installed
Depends: libgcc:any

Package: libgcc
Status: install ok installed
Description: a library
 Depends: nothing

Package: second
Status: install ok installed

Package: gone
Status: deinstall ok config-files
Priority: required

Package: provider
Status: install ok installed
Provides: other, virtual (= 1)

Package: more
Status: install ok installed
Priority: optional
`

func TestBasePackages(t *testing.T) {
	var names []string
	for _, p := range basePackages(status) {
		names = append(names, p["Package"])
	}
	must.Eq(t, []string{"base", "libc", "libgcc", "provider", "second"}, names)
}

// A link of the packages that leads out of the root is not followed.
func TestCopyAny_StaysInTheRoot(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	file := filepath.Join(outside, "file")
	must.NoError(t, os.WriteFile(file, []byte("text"), 0o755))
	must.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))

	must.Error(t, copyAny(root, file, "/link/copy"))
	_, err = os.Stat(filepath.Join(outside, "copy"))
	must.ErrorIs(t, err, os.ErrNotExist)
	must.NoError(t, copyAny(root, file, "/etc/copy"))
	info, err := os.Stat(filepath.Join(dir, "etc/copy"))
	must.NoError(t, err)
	must.Eq(t, os.FileMode(0o755), info.Mode().Perm())
}
