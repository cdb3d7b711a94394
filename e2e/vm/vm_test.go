// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestArchive_IsWhatCpioReads(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("needs cpio")
	}
	source := filepath.Join(t.TempDir(), "script")
	must.NoError(t, os.WriteFile(source, []byte("#!/bin/sh\n"), 0o755))
	var image bytes.Buffer
	a := newArchive(&image)
	for _, content := range []string{"", "a", "ab", "abc", "abcd"} { // each padding
		a.text("/etc/"+"n"+content, 0o640, content)
	}
	a.file("/bin/script", source)
	a.symlink("/bin/sh", "script")
	must.NoError(t, a.close())

	dir := t.TempDir()
	cmd := exec.Command(cpio, "--extract", "--quiet", "--no-absolute-filenames")
	cmd.Dir, cmd.Stdin = dir, &image
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	for _, content := range []string{"", "a", "ab", "abc", "abcd"} {
		got, err := os.ReadFile(filepath.Join(dir, "etc", "n"+content))
		must.NoError(t, err)
		must.Eq(t, content, string(got))
	}
	info, err := os.Stat(filepath.Join(dir, "bin", "sh"))
	must.NoError(t, err)
	must.Eq(t, 0o755, info.Mode().Perm())
}

func TestArchive_MissingFileIsAnError(t *testing.T) {
	a := newArchive(io.Discard)
	a.file("/bin/x", filepath.Join(t.TempDir(), "none"))
	a.text("/etc/y", 0o644, "")
	must.ErrorIs(t, a.close(), os.ErrNotExist)
}

func TestModuleFiles_NeededFirst(t *testing.T) {
	k := kernel{modules: t.TempDir()}
	dep := "kernel/a/disk.ko: kernel/b/bus.ko kernel/b/ring.ko\nkernel/b/bus.ko: kernel/b/ring.ko\nkernel/b/ring.ko:\n"
	must.NoError(t, os.WriteFile(filepath.Join(k.modules, "modules.dep"), []byte(dep), 0o644))
	files, err := k.moduleFiles("disk")
	must.NoError(t, err)
	for i, want := range []string{"ring.ko", "bus.ko", "disk.ko"} {
		must.Eq(t, want, filepath.Base(files[i]))
	}
	_, err = k.moduleFiles("floppy")
	must.Error(t, err)
}

func TestWanted_FuseWhereItIsAModule(t *testing.T) {
	k := kernel{modules: t.TempDir()}
	must.SliceEmpty(t, k.wanted(false))
	must.NoError(t, os.WriteFile(filepath.Join(k.modules, "modules.dep"), []byte("kernel/fs/fuse/fuse.ko:\n"), 0o644))
	must.Eq(t, []string{"fuse"}, k.wanted(false))
	must.Eq(t, []string{"virtio_pci", "virtio_blk", "fuse"}, k.wanted(true))
}

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name, output string
		want         result
		shown        string
		wrong        bool
		booted       int
	}{
		{name: "passed", output: "PASS\r\ne2e-vm: exit 0\r\n", want: result{true, 0}, shown: "PASS\n"},
		{name: "failed", output: "FAIL\ne2e-vm: exit 1\n", want: result{true, 1}, shown: "FAIL\n"},
		{name: "booted", output: "e2e-vm: booted\r\nPASS\ne2e-vm: exit 0\n", want: result{true, 0}, shown: "PASS\n", booted: 1},
		{name: "switched off before", output: "=== RUN\n", shown: "=== RUN\n"},
		{name: "no test", output: "testing: warning: no tests to run\ne2e-vm: exit 0\n", wrong: true},
		{name: "result damaged", output: "e2e-vm: exit x\n", wrong: true},
		{name: "the power is cut at the result", output: "e2e-vm: exit 0\nlater\n", want: result{true, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			booted := 0
			got, err := follow(strings.NewReader(c.output), &shown, func() { booted++ })
			must.Eq(t, c.booted, booted)
			must.Eq(t, c.wrong, err != nil)
			if !c.wrong {
				must.Eq(t, c.want, got)
				must.Eq(t, c.shown, shown.String())
			}
		})
	}
}
