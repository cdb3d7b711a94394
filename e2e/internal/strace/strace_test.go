// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package strace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestParse(t *testing.T) {
	calls, err := Parse(strings.NewReader(`100 1700000000.000010 <... epoll_pwait resumed>, [], 128, 0, NULL, 0) = 0 <0.004000>
100 1700000000.000100 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD <unfinished ...>
101 1700000000.000200 execve("/proc/self/fd/9", ["plugin", "supervise"], 0x1 /* 3 vars */) = 0 <0.000750>
100 1700000000.000900 <... clone resumed>) = 101 <0.000800>
101 1700000000.001000 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL, si_pid=101, si_uid=0} ---
101 1700000000.001100 openat(AT_FDCWD</>, "a) = b", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000010>
101 1700000000.001200 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD, tls=0x1) = 102 <0.000020>
102 1700000000.001300 fsync(7</run/x>) = 0 <0.002500>
101 1700000000.004000 exit_group(0) = ?
101 1700000000.004100 +++ exited with 0 +++
`))
	must.NoError(t, err)
	names := []string{}
	for _, c := range calls {
		names = append(names, c.Name)
	}
	must.Eq(t, []string{"clone", "execve", "openat", "clone", "fsync", "exit_group"}, names)
	must.Eq(t, 101, calls[0].Child())
	must.False(t, calls[0].IsThread())
	must.Eq(t, 800*time.Microsecond, calls[0].Took)
	must.True(t, calls[2].Failed())
	must.StrContains(t, calls[2].Args, `"a) = b"`)
	must.Eq(t, 102, calls[3].Child())
	must.True(t, calls[3].IsThread())
	must.Eq(t, 2500*time.Microsecond, calls[4].Took)

	_, err = Parse(strings.NewReader("strace: Process 7 attached\n"))
	must.ErrorContains(t, err, "not a line of strace")
}

func TestParse_strace(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("there is no strace")
	}
	out := filepath.Join(t.TempDir(), "trace")
	told, err := exec.Command("strace", "-f", "-ttt", "-T", "-o", out, "sh", "-c", "true; /bin/true; exit 3").CombinedOutput()
	if err == nil || err.Error() != "exit status 3" {
		t.Skipf("strace cannot trace here: %v: %s", err, told)
	}
	file, err := os.Open(out)
	must.NoError(t, err)
	defer file.Close()
	calls, err := Parse(file)
	must.NoError(t, err)
	var child int
	var executed []string
	for _, c := range calls {
		child = max(child, c.Child())
		if c.Name == "execve" && !c.Failed() {
			executed = append(executed, c.Args)
		}
	}
	must.Len(t, 2, executed)
	must.Positive(t, child)
}
