// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// An archive is a cpio archive in the "newc" format, which the kernel unpacks as
// its first root file system (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w     io.Writer
	inode int
	dirs  map[string]bool
	err   error // the first; later calls do nothing
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{}} }

// Types of inode(7).
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
)

// entry writes one member: a header of 110 bytes, its name, its content, the
// latter two padded to a multiple of four from the header's start.
func (a *archive) entry(name string, mode uint32, size int64, content io.Reader) {
	if a.err != nil {
		return
	}
	a.inode++
	const links, none = 1, 0
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, none, none, links, none, size, none, none, none, none, len(name)+1, none)
	a.write(strings.NewReader(header + name + "\x00" + padding(int64(len(header)+len(name)+1))))
	a.write(io.LimitReader(content, size))
	a.write(strings.NewReader(padding(size)))
}

func padding(size int64) string { return strings.Repeat("\x00", int(-size&3)) }

func (a *archive) write(r io.Reader) {
	if a.err == nil {
		_, a.err = io.Copy(a.w, r)
	}
}

// mkdir adds the directory and those above it, once.
func (a *archive) mkdir(name string) {
	if name == "." || name == "/" || a.dirs[name] {
		return
	}
	a.mkdir(path.Dir(name))
	a.dirs[name] = true
	a.entry(strings.TrimPrefix(name, "/"), typeDir|0o755, 0, strings.NewReader(""))
}

// text adds a file with this content.
func (a *archive) text(name string, perm uint32, content string) {
	a.mkdir(path.Dir(name))
	a.entry(strings.TrimPrefix(name, "/"), typeFile|perm, int64(len(content)), strings.NewReader(content))
}

// symlink adds a symbolic link.
func (a *archive) symlink(name, target string) {
	a.mkdir(path.Dir(name))
	a.entry(strings.TrimPrefix(name, "/"), typeLink|0o777, int64(len(target)), strings.NewReader(target))
}

// file adds a file of this machine under a name; links are followed.
func (a *archive) file(name, source string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(source)
	if err != nil {
		a.err = err
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	a.mkdir(path.Dir(name))
	a.entry(strings.TrimPrefix(name, "/"), typeFile|uint32(info.Mode().Perm()), info.Size(), f)
}

// tree adds a directory of this machine, without Go's sources.
func (a *archive) tree(name, source string) {
	if a.err != nil {
		return
	}
	a.err = filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(file, ".go") {
			return err
		}
		below, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		a.file(path.Join(name, filepath.ToSlash(below)), file)
		return a.err
	})
}

// close writes the trailer and returns the first error there was.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, strings.NewReader(""))
	if a.err != nil {
		return fmt.Errorf("write initramfs: %w", a.err)
	}
	return nil
}
