// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// writePackages writes the deb and the rpm.
func (r *release) writePackages(list []file) error {
	// nfpm takes contents from files only.
	work, err := os.MkdirTemp(r.out, ".work")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	contents, err := r.contents(list, work)
	if err != nil {
		return err
	}
	changelog, err := r.changelog(work)
	if err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		if err := r.writePackage(format, contents, changelog); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) writePackage(format string, contents files.Contents, changelog string) error {
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	info := r.info(contents, changelog)
	var kept files.Contents // nfpm changes what it is given
	for _, c := range contents {
		if c.Packager == "" || c.Packager == format {
			one, facts := *c, *c.FileInfo
			one.FileInfo = &facts
			kept = append(kept, &one)
		}
	}
	info.Contents = kept
	info = nfpm.WithDefaults(info) // takes the version apart
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return fmt.Errorf("%s: %w", format, err)
	}
	return r.write(packager.ConventionalFileName(info), func(out *os.File) error { return packager.Package(info, out) })
}

// info describes the package. It depends on nothing: the binaries are static, and
// Nomad need not come from a package.
func (r *release) info(contents files.Contents, changelog string) *nfpm.Info {
	script := func(name string) string { return r.path("packaging/scripts/" + name) }
	info := &nfpm.Info{
		Name:        packageName,
		Arch:        r.arch,
		Platform:    "linux",
		Version:     r.version,
		Release:     "1",
		Section:     "admin",
		Priority:    "optional",
		Maintainer:  maintainer,
		Vendor:      vendor,
		Homepage:    "https://github.com/nomad-driver-lsdyna/nomad-driver-lsdyna",
		License:     "MPL-2.0 AND BUSL-1.1",
		Description: description,
		Changelog:   changelog,
		MTime:       r.time,
	}
	info.Contents = contents
	info.Suggests = []string{"nomad"}
	info.Scripts = nfpm.Scripts{PostInstall: script("postinst"), PreRemove: script("prerm"), PostRemove: script("postrm")}
	// What every dpkg and rpm reads, and fast to make.
	info.Deb.Compression = "gzip"
	info.RPM.Compression = "gzip"
	info.RPM.BuildHost = "localhost" // a machine's name would differ from build to build
	info.RPM.Summary = summary
	info.RPM.Group = "System Environment/Daemons"
	return info
}

const (
	vendor      = "The nomad-driver-lsdyna Authors"
	maintainer  = vendor + " <nomad-driver-lsdyna@users.noreply.github.com>"
	summary     = "Nomad task driver for LS-DYNA on cores that never move"
	description = summary + `
It gives every run of LS-DYNA (SMP, MPP, hybrid) cores of its own, binds the
solver to them before it executes, and finds it again, on the same cores, after
the plugin or the Nomad client were restarted. It stops a run with a dump,
knows how the run really ended, and shows who owns which core.
LS-DYNA is not part of the package; a stand-in solver for trying the driver is.`
)

// contents says of every file where packages have it.
func (r *release) contents(list []file, work string) (files.Contents, error) {
	var contents files.Contents
	add := func(source, target, kind, format string, mode os.FileMode) {
		contents = append(contents, &files.Content{
			Source: source, Destination: target, Type: kind, Packager: format,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time},
		})
	}
	for i, f := range list {
		if f.pkg == "" {
			continue
		}
		source := f.source
		if f.text != nil {
			source = filepath.Join(work, fmt.Sprint(i))
			if err := os.WriteFile(source, f.text, 0o644); err != nil {
				return nil, err
			}
		}
		add(source, f.pkg, files.TypeFile, "", f.mode)
	}
	own := func(name string) string { return r.path("packaging/" + name) }
	add(own("defaults"), "/etc/default/"+packageName, files.TypeConfigNoReplace, "", 0o644)
	add(own("copyright"), docDir+"/copyright", files.TypeFile, "", 0o644)
	// Debian's name, and those of the documents' links.
	for _, l := range []struct{ name, to string }{{"examples", packageName}, {"example", packageName}, {"packs", packageName + "/packs"}} {
		add("../../"+l.to, docDir+"/"+l.name, files.TypeSymlink, "", 0o777) // without a mode it has that of the umask
	}
	add(own("lintian-overrides"), "/usr/share/lintian/overrides/"+packageName, files.TypeFile, "deb", 0o644)
	return contents, nil
}

// changelog writes what nfpm makes the packages' changelogs of: that of the project is
// CHANGELOG.md.
func (r *release) changelog(work string) (string, error) {
	name := filepath.Join(work, "changelog.yaml")
	text := fmt.Sprintf(`- semver: %q
  date: %q
  packager: %q
  deb:
    urgency: medium
    distributions: [stable]
  changes:
    - note: "see %s/CHANGELOG.md"
`, r.version, r.time.Format(time.RFC3339), maintainer, docDir)
	return name, os.WriteFile(name, []byte(text), 0o644)
}
