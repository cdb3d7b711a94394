// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command versions runs tests of the driver with several versions of Nomad, one after
// the other, and prints a table of what came of each: `make e2e-versions`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "folder with the plugin, the stand-in and e2e.test, and nomad-VERSION for each version")
	dir := flag.String("dir", "e2e", "the folder of the tests")
	tests := flag.String("run", ".", "which tests, a regular expression")
	parallel := flag.String("parallel", "3", "how many tests at a time")
	timeout := flag.String("timeout", "40m", "how long the tests of one version may take")
	flag.Parse()
	folder, err := filepath.Abs(*bin)
	if err != nil {
		return fmt.Errorf("folder of the binaries: %w", err)
	}
	var columns []column
	var failed []string
	for _, version := range flag.Args() {
		nomad := filepath.Join(folder, "nomad-"+version)
		if err := isVersion(ctx, nomad, version); err != nil {
			return err
		}
		fmt.Printf("==> Nomad %s: %s\n", version, nomad)
		var out strings.Builder
		cmd := exec.CommandContext(ctx, filepath.Join(folder, "e2e.test"), "-test.v",
			"-test.run", *tests, "-test.parallel", *parallel, "-test.timeout", *timeout)
		cmd.Dir = *dir
		cmd.Env = append(os.Environ(), "LSDYNA_E2E_BIN="+folder, "LSDYNA_E2E_REQUIRED=1", "LSDYNA_NOMAD="+nomad)
		cmd.Stdout = io.MultiWriter(os.Stdout, &out)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			failed = append(failed, fmt.Sprintf("Nomad %s (%v)", version, err))
		}
		columns = append(columns, column{version, parse(out.String())})
	}
	fmt.Print("\n", table(columns))
	if len(failed) > 0 {
		return errors.New("tests failed with " + strings.Join(failed, ", "))
	}
	return nil
}

// isVersion asks a binary which Nomad it is.
func isVersion(ctx context.Context, nomad, version string) error {
	out, err := exec.CommandContext(ctx, nomad, "version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", nomad, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	if first != "Nomad v"+version {
		return fmt.Errorf("%s is %q, not Nomad %s; remove it, and make e2e-versions builds it anew", nomad, first, version)
	}
	return nil
}
