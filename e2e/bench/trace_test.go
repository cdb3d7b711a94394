// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/strace"
)

func TestStartTrace(t *testing.T) {
	calls, err := strace.Parse(strings.NewReader(`10 1000.000100 openat(AT_FDCWD</>, "early", O_RDONLY) = 3</early> <0.000010>
11 1000.001100 openat(AT_FDCWD</>, "a", O_RDONLY) = 3</a> <0.000010>
11 1000.001200 fsync(7</state/task.json>) = 0 <0.002000>
11 1000.003500 futex(0x1, FUTEX_WAIT, 0, NULL) = 0 <9.000000>
10 1000.004000 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = 20 <0.001000>
20 1000.004100 execve("/proc/self/fd/9", ["/bin/plugin", "supervise", "/state"], 0x1 /* 3 vars */) = 0 <0.000750>
20 1000.005000 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 21 <0.000020>
21 1000.005100 clone(child_stack=NULL, flags=SIGCHLD) = 30 <0.000500>
30 1000.006000 execve("/opt/solver", ["solver", "i=main.k"], 0x1 /* 3 vars */) = 0 <0.000300>
10 1000.009000 fsync(7</state/late>) = 0 <0.002000>
`))
	must.NoError(t, err)
	began := time.Unix(1000, 1e6)
	trace := newStartTrace(calls, 10, began, began.Add(7*time.Millisecond))
	var out strings.Builder
	must.NoError(t, trace.print(&out))
	must.Eq(t, `at ms  took ms  who             what
0.20   2.00     plugin          fsync task.json (after 1 other calls)
3.00   1.00     plugin          forks
3.10   0.75     supervisor      executes plugin supervise
4.10   0.50     supervisor      forks (after 1 other calls)
5.00   0.30     solver's place  executes solver i=main.k
7.00            solver's place  first instruction of the solver

calls  took ms  who and what for (what waits for another is left out)
1      2.00     plugin to the disk
1      1.00     plugin fork
1      0.75     supervisor execute
1      0.50     supervisor fork
1      0.30     solver's place execute
1      0.02     supervisor thread
1      0.01     plugin other calls
`, out.String())
}
