// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const packageName = "nomad-driver-lsdyna"

// Where packages put things.
const (
	docDir   = "/usr/share/doc/" + packageName
	shareDir = "/usr/share/" + packageName // not docDir: images of containers leave that out
	libDir   = "/usr/lib/" + packageName

	metricsUnit = packageName + "-metrics.service"
)

// A file is one of a release. Its bytes are text where that is not nil, else those
// of source.
type file struct {
	source  string
	text    []byte
	archive string // path in tar.gz and zip, "" for none
	pkg     string // path in deb and rpm, "" for none
	mode    fs.FileMode
}

// read returns the file's bytes.
func (f file) read() ([]byte, error) {
	if f.text != nil {
		return f.text, nil
	}
	return os.ReadFile(f.source)
}

// files lists what a release has, in the order of paths in archives.
func (r *release) files() ([]file, error) {
	files := []file{
		{source: filepath.Join(r.bin, packageName), archive: packageName, pkg: "/usr/bin/" + packageName, mode: 0o755},
		// Without it the examples need a licensed LS-DYNA.
		{source: filepath.Join(r.bin, "lsdyna-standin"), archive: "lsdyna-standin", pkg: libDir + "/lsdyna-standin", mode: 0o755},
		r.own("example/agent.hcl", shareDir+"/agent.hcl"),
		r.own("example/README.md", shareDir+"/README.md"),
		r.own("example/solver/README.md", shareDir+"/solver/README.md"),
		{
			source: r.path("packaging/systemd/lsdyna.conf"), archive: "systemd/nomad.service.d/50-lsdyna.conf",
			pkg: "/usr/lib/systemd/system/nomad.service.d/50-lsdyna.conf", mode: 0o644,
		},
		{source: r.path("packaging/prometheus/" + metricsUnit), pkg: "/usr/lib/systemd/system/" + metricsUnit, mode: 0o644},
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "TROUBLESHOOT.md", "packaging/README.md"} {
		files = append(files, r.own(name, docDir+"/"+name))
	}
	trees := []struct{ from, archive, pkg string }{
		{"docs", "docs", docDir + "/docs"},
		{"packs", "packs", shareDir + "/packs"},
		{"packaging/prometheus", "packaging/prometheus", shareDir + "/prometheus"},
		{"packaging/grafana", "packaging/grafana", shareDir + "/grafana"},
	}
	for _, name := range []string{"jobs", "decks", "actions", "disconnect", "dispatch", "lsopt", "mail", "periodic", "preemption", "work-roots"} {
		trees = append(trees, struct{ from, archive, pkg string }{"example/" + name, "example/" + name, shareDir + "/" + name})
	}
	for _, t := range trees {
		tree, err := r.tree(t.from, t.archive, t.pkg)
		if err != nil {
			return nil, err
		}
		files = append(files, tree...)
	}
	shell, err := r.shellFiles()
	if err != nil {
		return nil, err
	}
	files = append(files, shell...)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.archive, b.archive) })
	return files, nil
}

func (r *release) path(name string) string { return filepath.Join(r.root, filepath.FromSlash(name)) }

// own is a file of the repository that has the same place in archives.
func (r *release) own(name, pkg string) file {
	return file{source: r.path(name), archive: name, pkg: pkg, mode: 0o644}
}

// tree is every file of a folder but sources and what editors leave. Scripts stay executable.
func (r *release) tree(from, archive, pkg string) (files []file, err error) {
	err = filepath.WalkDir(r.path(from), func(p string, d fs.DirEntry, err error) error {
		name := path.Base(filepath.ToSlash(p))
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".go"):
			return nil
		}
		below, err := filepath.Rel(r.path(from), p)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, file{source: p, archive: path.Join(archive, below), pkg: path.Join(pkg, below), mode: mode})
		return nil
	})
	return files, err
}

// shellFiles are the man page and the completions, as the plugin prints them.
func (r *release) shellFiles() (files []file, err error) {
	for _, page := range []struct {
		args    []string
		archive string
		pkg     string
		packed  bool // packages have it compressed
	}{
		{[]string{"man"}, "man/nomad-driver-lsdyna.8", "/usr/share/man/man8/nomad-driver-lsdyna.8.gz", true},
		{[]string{"completion", "bash"}, "completions/nomad-driver-lsdyna.bash", "/usr/share/bash-completion/completions/nomad-driver-lsdyna", false},
		{[]string{"completion", "zsh"}, "completions/_nomad-driver-lsdyna", "/usr/share/zsh/vendor-completions/_nomad-driver-lsdyna", false},
		{[]string{"completion", "fish"}, "completions/nomad-driver-lsdyna.fish", "/usr/share/fish/vendor_completions.d/nomad-driver-lsdyna.fish", false},
	} {
		text, err := r.printed(page.args...)
		if err != nil {
			return nil, err
		}
		if !page.packed {
			files = append(files, file{text: text, archive: page.archive, pkg: page.pkg, mode: 0o644})
			continue
		}
		packed, err := compressed(text)
		if err != nil {
			return nil, err
		}
		files = append(files, file{text: text, archive: page.archive, mode: 0o644}, file{text: packed, pkg: page.pkg, mode: 0o644})
	}
	return files, nil
}

// printed is what the plugin prints.
func (r *release) printed(args ...string) ([]byte, error) {
	text, err := exec.Command(r.printer, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.printer, strings.Join(args, " "), err)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("%s %s prints nothing", r.printer, strings.Join(args, " "))
	}
	return text, nil
}
