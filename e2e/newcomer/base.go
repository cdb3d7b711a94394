// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const dpkgDir = "/var/lib/dpkg"

// A pkg is a package of this machine, with the fields of its control file.
type pkg map[string]string

// installBase copies the essential and required packages of this machine, and what they
// depend on, to a root, where dpkg knows them, and returns how many they are. Nothing else
// of this machine is there, and nothing is written outside of the root.
func installBase(root *os.Root) (int, error) {
	status, err := os.ReadFile(filepath.Join(dpkgDir, "status"))
	if err != nil {
		return 0, fmt.Errorf("needs a Debian: %w", err)
	}
	base := basePackages(string(status))
	for _, link := range []string{"/bin", "/sbin", "/lib", "/lib64"} { // no package has them
		err := errors.Join(root.MkdirAll("usr"+link, 0o755), copyAny(root, link, link))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	var known strings.Builder
	for _, p := range base {
		if err := p.install(root); err != nil {
			return 0, fmt.Errorf("package %s: %w", p["Package"], err)
		}
		known.WriteString(p["stanza"] + "\n\n")
	}
	return len(base), errors.Join(
		root.MkdirAll(strings.TrimPrefix(dpkgDir, "/")+"/updates", 0o755),
		root.MkdirAll(strings.TrimPrefix(dpkgDir, "/")+"/triggers", 0o755),
		root.WriteFile(strings.TrimPrefix(dpkgDir, "/")+"/status", []byte(known.String()), 0o644),
		configureBase(root))
}

// configureBase does what the packages' scripts did when they were installed.
func configureBase(root *os.Root) error {
	for from, to := range map[string]string{
		"/usr/share/base-passwd/passwd.master": "/etc/passwd",
		"/usr/share/base-passwd/group.master":  "/etc/group",
		"/usr/share/libc-bin/nsswitch.conf":    "/etc/nsswitch.conf",
		"/etc/alternatives/awk":                "/etc/alternatives/awk",
		dpkgDir + "/info/format":               dpkgDir + "/info/format", // else dpkg renames its lists
		"/usr/bin/awk":                         "/usr/bin/awk",
	} {
		if err := copyAny(root, from, to); err != nil {
			return err
		}
	}
	err := root.WriteFile("etc/hosts", []byte("127.0.0.1 localhost newcomer\n"), 0o644)
	out, ldconfig := exec.Command("chroot", root.Name(), "/sbin/ldconfig").CombinedOutput()
	if ldconfig != nil {
		ldconfig = fmt.Errorf("ldconfig: %w: %s", ldconfig, out)
	}
	return errors.Join(err, ldconfig)
}

// basePackages are those of dpkg's status file that every Debian has.
func basePackages(status string) []pkg {
	installed := map[string]pkg{}
	var names, wanted []string
	for stanza := range strings.SplitSeq(strings.TrimSpace(status), "\n\n") {
		p := parse(stanza)
		if p["Status"] != "install ok installed" {
			continue
		}
		name := p["Package"]
		installed[name] = p
		names = append(names, name)
		for provided := range strings.SplitSeq(p["Provides"], ",") {
			if provided, _, _ := strings.Cut(strings.TrimSpace(provided), " "); provided != "" && installed[provided] == nil {
				installed[provided] = p
			}
		}
		if p["Essential"] == "yes" || p["Priority"] == "required" {
			wanted = append(wanted, name)
		}
	}
	chosen := map[string]bool{}
	for len(wanted) > 0 {
		p := installed[wanted[0]]
		wanted = wanted[1:]
		if p == nil || chosen[p["Package"]] {
			continue
		}
		chosen[p["Package"]] = true
		wanted = append(wanted, p.needs(installed)...)
	}
	slices.Sort(names)
	var base []pkg
	for _, name := range slices.Compact(names) {
		if chosen[name] {
			base = append(base, installed[name])
		}
	}
	return base
}

// parse reads a stanza, which is kept whole, too.
func parse(stanza string) pkg {
	p := pkg{"stanza": stanza}
	for line := range strings.Lines(stanza) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && !strings.HasPrefix(line, " ") {
			p[name] = value
		}
	}
	return p
}

// needs are the names that a package depends on: of alternatives the first that is
// installed.
func (p pkg) needs(installed map[string]pkg) (names []string) {
	for one := range strings.SplitSeq(p["Pre-Depends"]+","+p["Depends"], ",") {
		for alternative := range strings.SplitSeq(one, "|") {
			name, _, _ := strings.Cut(strings.TrimSpace(alternative), " ")
			name, _, _ = strings.Cut(name, ":")
			if installed[name] != nil {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// bulk is what nothing needs to work.
var bulk = []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/zoneinfo/"}

// install copies the package's files, and what dpkg keeps of it.
func (p pkg) install(root *os.Root) error {
	kept, err := filepath.Glob(filepath.Join(dpkgDir, "info", p["Package"]+".*"))
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(dpkgDir, "info", p["Package"]+":"+p["Architecture"]+".*"))
	if err != nil {
		return err
	}
	for _, name := range append(kept, more...) {
		if err := copyAny(root, name, name); err != nil {
			return err
		}
		if filepath.Ext(name) != ".list" {
			continue
		}
		files, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for file := range strings.Lines(string(files)) {
			file = filepath.Clean(strings.TrimSuffix(file, "\n"))
			if file == "/" || slices.ContainsFunc(bulk, func(b string) bool { return strings.HasPrefix(file, b) }) {
				continue
			}
			// What an administrator, or the image of a container, has removed is missed by nobody.
			if err := copyAny(root, file, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// copyAny copies a folder (without what is in it), a link or a file to a path below root.
func copyAny(root *os.Root, from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	to = strings.TrimPrefix(to, "/")
	if there, err := root.Lstat(to); err == nil && (there.IsDir() || there.Mode().Type() == fs.ModeSymlink) {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if err := root.Mkdir(to, 0o755); err != nil {
			return err
		}
		return root.Chmod(to, info.Mode().Perm()|info.Mode()&(fs.ModeSticky|fs.ModeSetgid))
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return root.Symlink(target, to)
	case 0:
		return copyFile(root, from, to, info.Mode())
	}
	return nil // devices and sockets are made by whoever needs them
}

func copyFile(root *os.Root, from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := root.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode.Perm()|mode&(fs.ModeSetuid|fs.ModeSetgid)), out.Close())
}
