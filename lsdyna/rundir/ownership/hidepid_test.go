// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
)

// Where /proc shows users their own processes only, root's are no less alive.
func TestClaim_behindHidepid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const inside = "LSDYNA_TEST_HIDEPID"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		must.NoError(t, err, must.Sprintf("%s", out))
		return
	}
	must.NoError(t, unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"))
	owner := ownerHere("a", living(t)) // the test's first process, root's
	user := creds.User{UID: 65534, GID: 65534}
	seen, over := false, false
	must.NoError(t, user.Do(func() error {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(owner.Processes[0].PID)))
		seen, over = err == nil, owner.isOver(ownerHere("b"), "")
		return nil
	}))
	if seen {
		t.Skip("this kernel cannot hide processes in one mount of /proc")
	}
	must.False(t, over)
}
