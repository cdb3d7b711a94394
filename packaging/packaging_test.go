// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// made makes the release files of binaries that are none.
func made(t *testing.T) string {
	t.Helper()
	bin, out := t.TempDir(), t.TempDir()
	for _, name := range []string{packageName, "lsdyna-standin"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := release{root: "..", bin: bin, printer: printer(t, `echo "$@"`), out: out, version: "1.2.3-rc.1+gabc", arch: "amd64", time: time.Unix(1700000000, 0).UTC()}
	if err := r.make(); err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	madeDeb = "nomad-driver-lsdyna_1.2.3~rc.1+gabc-1_amd64.deb"
	madeRPM = "nomad-driver-lsdyna-1.2.3~rc.1+gabc-1.x86_64.rpm"
	madeTar = "nomad-driver-lsdyna_1.2.3-rc.1+gabc_linux_amd64.tar.gz"
	madeZip = "nomad-driver-lsdyna_1.2.3-rc.1+gabc_linux_amd64.zip"
)

// printer is a plugin that prints man page and completions.
func printer(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a tool; the test is skipped where there is none.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s: %v", name, err)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func mustHave(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

func TestRelease_IsTheSameBytesFromTheSameTree(t *testing.T) {
	first := made(t)
	before := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(before) })
	second := made(t)
	for _, name := range []string{madeDeb, madeRPM, madeTar, madeZip} {
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
	entries, err := os.ReadDir(first)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v %v", entries, err)
	}
}

// inArchives are some of the files of every release.
var inArchives = []string{
	"nomad-driver-lsdyna", "lsdyna-standin", "LICENSE", "README.md", "CHANGELOG.md", "TROUBLESHOOT.md", "SECURITY.md",
	"docs/ARCHITECTURE.md", "example/agent.hcl", "example/jobs/smp.nomad.hcl", "example/lsopt/lsopt-nomad", "packs/lsdyna/metadata.hcl", "example/decks/solid_bar_impact/main.k", "systemd/nomad.service.d/50-lsdyna.conf",
	"packaging/prometheus/lsdyna.rules.yml", "packaging/grafana/lsdyna.json", "packaging/README.md",
	"man/nomad-driver-lsdyna.8", "completions/nomad-driver-lsdyna.bash", "completions/_nomad-driver-lsdyna", "completions/nomad-driver-lsdyna.fish",
}

func TestRelease_ArchivesHaveEverything(t *testing.T) {
	dir := made(t)
	top := strings.TrimSuffix(madeTar, ".tar.gz") + "/"
	var tarred, zipped []string
	text, err := os.ReadFile(filepath.Join(dir, madeTar))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tarred = append(tarred, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1700000000 || h.Mode != 0o644 && h.Mode != 0o755 {
			t.Errorf("%s: %d:%d %o %v", h.Name, h.Uid, h.Gid, h.Mode, h.ModTime)
		}
	}
	z, err := zip.OpenReader(filepath.Join(dir, madeZip))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	for _, f := range z.File {
		zipped = append(zipped, f.Name)
		programs := []string{top + packageName, top + "lsdyna-standin", top + "example/dispatch/doe.sh", top + "example/lsopt/lsopt-nomad"}
		if program := slices.Contains(programs, f.Name); program != (f.Mode().Perm() == 0o755 && !f.Mode().IsDir()) {
			t.Errorf("%s has mode %v", f.Name, f.Mode())
		}
	}
	if !slices.Equal(tarred, zipped) {
		t.Errorf("tar.gz and zip differ:\n%v\n%v", tarred, zipped)
	}
	for _, name := range inArchives {
		if !slices.Contains(tarred, top+name) {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range tarred {
		if strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata") {
			t.Errorf("%s is in the archive", name)
		}
	}
}

// Of a plugin that does not print man page and completions no release is made.
func TestRelease_NeedsManPageAndCompletions(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		fails  bool
	}{
		"prints":         {`echo "$@"`, false},
		"has no command": {"exit 2", true},
		"prints nothing": {"exit 0", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := release{printer: printer(t, c.script)}
			files, err := r.shellFiles()
			if (err != nil) != c.fails || !c.fails && len(files) != 5 { // the man page twice
				t.Errorf("%v %v", files, err)
			}
		})
	}
}

// inPackages are some of the paths of deb and rpm.
var inPackages = []string{
	"/usr/bin/nomad-driver-lsdyna", "/usr/lib/nomad-driver-lsdyna/lsdyna-standin", "/etc/default/nomad-driver-lsdyna",
	"/usr/lib/systemd/system/nomad.service.d/50-lsdyna.conf", "/usr/share/nomad-driver-lsdyna/agent.hcl", "/usr/share/nomad-driver-lsdyna/jobs/smp.nomad.hcl",
	"/usr/share/nomad-driver-lsdyna/prometheus/lsdyna.rules.yml", "/usr/share/nomad-driver-lsdyna/grafana/lsdyna.json", "/usr/lib/systemd/system/" + metricsUnit,
	"/usr/share/doc/nomad-driver-lsdyna/SECURITY.md", "/usr/share/doc/nomad-driver-lsdyna/TROUBLESHOOT.md", "/usr/share/doc/nomad-driver-lsdyna/copyright",
	"/usr/share/man/man8/nomad-driver-lsdyna.8.gz", "/usr/share/bash-completion/completions/nomad-driver-lsdyna",
}

func TestDeb_HasWhatDpkgWants(t *testing.T) {
	deb := filepath.Join(made(t), madeDeb)
	mustHave(t, output(t, "dpkg-deb", "-c", deb), inPackages...)
	mustHave(t, output(t, "dpkg-deb", "-I", deb), "Version: 1.2.3~rc.1+gabc-1", "Architecture: amd64", "Suggests: nomad", "postinst", "prerm", "postrm", "conffiles", "md5sums")
}

func TestRPM_HasWhatRPMWants(t *testing.T) {
	rpm := filepath.Join(made(t), madeRPM)
	mustHave(t, output(t, "rpm", "-qp", "--list", rpm), inPackages...)
	mustHave(t, output(t, "rpm", "-qp", "--configfiles", rpm), "/etc/default/nomad-driver-lsdyna")
	mustHave(t, output(t, "rpm", "-qp", "--scripts", rpm), "postinstall scriptlet", "preuninstall scriptlet")
	mustHave(t, output(t, "rpm", "-qp", "--info", rpm), "Version     : 1.2.3~rc.1+gabc", "Architecture: x86_64", "Build Host  : localhost")
}

// systemd reads every line of the drop-in and of the unit.
func TestUnits_AreUnderstood(t *testing.T) {
	dir := t.TempDir()
	unit := filepath.Join(dir, "nomad.service")
	if err := os.WriteFile(unit, []byte("[Service]\nExecStart=/bin/true\nTimeoutStopSec=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(unit+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	copied := func(from, to string) string {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		// Its program is not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/"+packageName), []byte("/bin/true"))
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return to
	}
	copied("systemd/lsdyna.conf", filepath.Join(unit+".d", "50-lsdyna.conf"))
	metrics := copied("prometheus/"+metricsUnit, filepath.Join(dir, metricsUnit))
	if said := output(t, "systemd-analyze", "verify", "--man=no", unit, metrics); strings.Contains(said, "lsdyna") {
		t.Error(said)
	}
}
