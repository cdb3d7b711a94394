// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Not in the package itself, to which the imports would belong, too.
package openfiles_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/openfiles"
)

// A process is started with a limit that Go raises before any of its code runs.
func TestSoft(t *testing.T) {
	if os.Getenv("OPENFILES_TELL") != "" {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
			t.Fatal(err)
		}
		fmt.Println("found", openfiles.Soft, "raised", now.Cur > openfiles.Soft)
		return
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -Sn 123 && exec "$0" -test.run='^TestSoft$' -test.v`)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, exe)
	cmd.Env = append(os.Environ(), "OPENFILES_TELL=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "found 123 raised true") {
		t.Errorf("%v: %s", err, out)
	}
}
