// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed init.sh
var initScript string

// A kernel is the one that the machine boots, with its modules.
type kernel struct {
	image   string
	modules string
}

// findKernel takes the newest of Debian's cloud kernels, or the one named.
func findKernel(image string) (kernel, error) {
	if image == "" {
		found, err := filepath.Glob("/boot/vmlinuz-*-cloud-amd64")
		if err != nil || len(found) == 0 {
			return kernel{}, fmt.Errorf("no /boot/vmlinuz-*-cloud-amd64: install linux-image-cloud-amd64 or name a kernel with -kernel (%w)", err)
		}
		image = found[len(found)-1]
	}
	release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
	return kernel{image: image, modules: filepath.Join("/lib/modules", release)}, nil
}

// moduleFiles returns the files of a module and of those it needs, these first.
func (k kernel) moduleFiles(module string) ([]string, error) {
	f, err := os.Open(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// path/of/a.ko: path/of/needed.ko path/of/what/that/needs.ko
		file, needs, ok := strings.Cut(lines.Text(), ":")
		if !ok || filepath.Base(file) != module+".ko" {
			continue
		}
		files := []string{filepath.Join(k.modules, file)}
		for need := range strings.FieldsSeq(needs) {
			files = append([]string{filepath.Join(k.modules, need)}, files...)
		}
		return files, nil
	}
	return nil, fmt.Errorf("%s has no module %s", k.modules, module)
}

// wanted returns the modules to load: those of a disk, and FUSE, without which some
// tests are left out.
func (k kernel) wanted(disk bool) (modules []string) {
	if disk {
		modules = append(modules, "virtio_pci", "virtio_blk")
	}
	if _, err := k.moduleFiles("fuse"); err == nil {
		modules = append(modules, "fuse")
	}
	return modules
}

// writeImage writes the initramfs: busybox, the binaries under test, the test
// binary and what runs it.
func writeImage(path string, opts options, k kernel, payload string) error {
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	defer func() { _ = out.Close() }()
	buffered := bufio.NewWriterSize(out, 1<<20)
	a := newArchive(buffered)
	a.text("/init", 0o755, initScript)
	a.text("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nanalyst:x:1000:1000:analyst:/:/bin/sh\n")
	a.text("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\nanalyst:x:1000:\n")
	a.text("/etc/hosts", 0o644, "127.0.0.1 localhost e2e-vm\n")
	a.text("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files\n")
	if err := addBusybox(a); err != nil {
		return err
	}
	// util-linux' own: busybox knows no cgroup namespaces.
	for _, tool := range []string{"unshare", "nsenter"} {
		if err := addProgram(a, tool); err != nil {
			return err
		}
	}
	for _, name := range []string{"nomad", "nomad-driver-lsdyna", "lsdyna-standin", "faults"} {
		if file := filepath.Join(opts.bin, name); exists(file) {
			a.file("/opt/bin/"+name, file)
		}
	}
	if opts.payload == "" {
		a.file("/opt/e2e/e2e.test", filepath.Join(opts.bin, "e2e.test"))
	}
	a.text("/opt/e2e/payload", 0o644, payload)
	if exists(opts.example) {
		a.tree("/opt/example", opts.example)
	}
	if err := addModules(a, k, k.wanted(opts.disk())...); err != nil {
		return err
	}
	if err := a.close(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	return out.Close()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// addBusybox adds busybox and a link for each of its programs.
func addBusybox(a *archive) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("install busybox-static: %w", err)
	}
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("programs of busybox: %w", err)
	}
	a.file("/bin/busybox", busybox)
	for program := range strings.FieldsSeq(string(list)) {
		if program != "busybox" && program != "unshare" && program != "nsenter" {
			a.symlink("/bin/"+program, "busybox")
		}
	}
	a.symlink("/usr/bin/env", "/bin/busybox")
	return nil
}

var sharedObject = regexp.MustCompile(`/\S+`)

// addProgram adds a program of this machine with the libraries that it loads.
func addProgram(a *archive, name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("program for the virtual machine: %w", err)
	}
	libraries, err := exec.Command("ldd", path).Output()
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", path, err)
	}
	a.file("/usr/bin/"+name, path)
	for _, library := range sharedObject.FindAllString(string(libraries), -1) {
		if !a.dirs["file "+library] {
			a.dirs["file "+library] = true
			a.file(library, library)
		}
	}
	return nil
}

// addModules adds kernel modules, named so that their order is that of loading.
func addModules(a *archive, k kernel, modules ...string) error {
	seen := map[string]bool{}
	for _, module := range modules {
		files, err := k.moduleFiles(module)
		if err != nil {
			return err
		}
		for _, file := range files {
			if !seen[file] {
				seen[file] = true
				a.file(fmt.Sprintf("/modules/%02d-%s", len(seen), filepath.Base(file)), file)
			}
		}
	}
	return nil
}
