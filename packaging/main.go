// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command packaging makes the release files of one architecture from binaries that
// are built already: tar.gz, zip, deb and rpm. The same tree and the same binaries
// give the same bytes, on whatever machine and whenever. `make dist` calls it; it is
// a module of its own, so that the driver does not depend on what makes packages.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// A release is what one call makes.
type release struct {
	root    string // the repository
	bin     string // where the binaries for arch are
	printer string // the plugin for this machine, which prints man page and completions
	out     string // where the files go
	version string // semantic version
	arch    string // Go's name
	time    time.Time
}

func main() {
	var r release
	var epoch int64
	flag.StringVar(&r.root, "root", "..", "`directory` of the repository")
	flag.StringVar(&r.bin, "bin", "", "`directory` with nomad-driver-lsdyna and lsdyna-standin for the architecture")
	flag.StringVar(&r.printer, "printer", "", "nomad-driver-lsdyna for this machine, which prints the man page and completions")
	flag.StringVar(&r.out, "out", "", "`directory` for the release files")
	flag.StringVar(&r.version, "version", "", "semantic version")
	flag.StringVar(&r.arch, "arch", "", "amd64 or arm64")
	flag.Int64Var(&epoch, "epoch", 0, "time of every file, in `seconds` since 1970 (SOURCE_DATE_EPOCH)")
	flag.Parse()
	r.time = time.Unix(epoch, 0).UTC()
	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

// make writes the release files.
func (r *release) make() error {
	files, err := r.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s_%s_linux_%s", packageName, r.version, r.arch)
	if err := r.write(name+".tar.gz", func(out *os.File) error { return writeTar(out, name, files, r.time) }); err != nil {
		return err
	}
	if err := r.write(name+".zip", func(out *os.File) error { return writeZip(out, name, files, r.time) }); err != nil {
		return err
	}
	return r.writePackages(files)
}
