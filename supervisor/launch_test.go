// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

func TestExactExit(t *testing.T) {
	cases := map[string]struct {
		script string
		code   int
		signal int
	}{
		"success":        {"exit 0", 0, 0},
		"an exit code":   {"exit 42", 42, 0},
		"killed":         {"kill -KILL $$", 137, 9},
		"terminated":     {"kill -TERM $$", 143, 15},
		"user signal":    {"kill -USR1 $$", 138, 10},
		"like a signal":  {"exit 137", 137, 0},
		"a broken pipe":  {"kill -PIPE $$", 141, 13},
		"hung up, alone": {"kill -HUP $$", 129, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			k := shell(t, c.script)
			p := k.start()
			exit := k.wait(p)
			if exit.Code != c.code || exit.Signal != c.signal || exit.OOMKilled || exit.LaunchError != "" {
				t.Errorf("got %+v", exit)
			}
			r, err := pidfile.Read(filepath.Join(k.dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			if exit.PID != r.PID || exit.StartTime != r.StartTime || exit.BootID != r.BootID || exit.TaskID != t.Name() {
				t.Errorf("exit record %+v is not about %+v", exit, r)
			}
			if p.State() != Ended {
				t.Errorf("state %s", p.State())
			}
		})
	}
}

// What the solver finds at birth, told by programs that have no say in it.
func TestBirth(t *testing.T) {
	k := newTask(t, "/bin/cat", "/proc/self/status", "/proc/self/limits", "/proc/self/oom_score_adj", "/proc/self/stat")
	k.spec.CPUs = someCPUs(t, 1)
	if asRoot() {
		k.spec.User.Groups = []int{0, 4, 65534}
		setOOMScore(t)
	}
	k.wait(k.start())
	out := k.read(k.run, "stdout")
	r, err := pidfile.Read(filepath.Join(k.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	expect := map[string]string{
		"Cpus_allowed_list": strconv.Itoa(k.spec.CPUs[0]),
		"Pid":               strconv.Itoa(r.PID),
		"PPid":              strconv.Itoa(r.SupervisorPID),
		"NSsid":             strconv.Itoa(r.PID),
		"SigIgn":            "0000000000000000",
		"SigBlk":            "0000000000000000",
		"SigCgt":            "0000000000000000",
		"Umask":             "0022",
		"THP_enabled":       bornWithTHP,
	}
	if asRoot() {
		expect["Uid"] = "65534\t65534\t65534\t65534"
		expect["Gid"] = "65534\t65534\t65534\t65534"
		expect["Groups"] = "4 65534"
		expect["CapEff"] = "0000000000000000"
		expect["CapPrm"] = "0000000000000000"
	}
	for key, want := range expect {
		if got := status(t, out, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if asRoot() && !strings.Contains(out, "Max stack size            unlimited            unlimited") {
		t.Errorf("stack limit: %s", out)
	}
	if !strings.Contains(out, "\n0\n"+strconv.Itoa(r.PID)+" (cat)") {
		t.Errorf("the OOM score adjustment is not 0: %s", out)
	}
	if r.Cores == nil || r.Cores[0] != k.spec.CPUs[0] {
		t.Errorf("pid file has cores %v", r.Cores)
	}
}

// Go raises its own soft limit of open files, which a solver that uses
// select(2) does not survive.
func TestFileLimitIsAsFound(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	// What is set like this, Go leaves to what it executes.
	low := unix.Rlimit{Cur: own.Max / 2, Max: own.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &own) })
	k := shell(t, "ulimit -Sn; ulimit -Hn")
	k.wait(k.start())
	if got, want := k.read(k.run, "stdout"), fmt.Sprintf("%d\n%d\n", low.Cur, low.Max); got != want {
		t.Errorf("limits %q, want %q", got, want)
	}
}

// The unit's hard limits are what the solver may have; MPI locks memory for
// InfiniBand. A core file of a solver may fill the disk.
func TestLimitsAreRaisedAsTheUnitAllows(t *testing.T) {
	const memlock, most, few = unix.RLIMIT_MEMLOCK, 48 << 10, 16 << 10
	for resource, soft := range map[int]uint64{memlock: few, unix.RLIMIT_CORE: 4096} {
		var own unix.Rlimit
		if err := unix.Getrlimit(resource, &own); err != nil {
			t.Fatal(err)
		}
		hard := own.Max
		if resource == memlock && asRoot() { // root may raise it again afterwards
			hard = most
		}
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: soft, Max: hard}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Setrlimit(resource, &own) })
	}
	k := newTask(t, "/bin/sh", "-c", "ulimit -l; ulimit -Hl; ulimit -c")
	k.wait(k.start())
	said := strings.Fields(k.read(k.run, "stdout"))
	if len(said) != 3 || said[0] != said[1] || said[2] != "8" { // KiB, and blocks of 512 bytes
		t.Errorf("locked memory soft and hard, core files: %v", said)
	}
	if asRoot() && said[0] != strconv.Itoa(most>>10) {
		t.Errorf("locked memory: %v", said)
	}
}

func TestInheritsNothingElse(t *testing.T) {
	k := shell(t, "ls -l /proc/$$/fd; pwd; env")
	k.spec.User.Name, k.spec.User.Home = "somebody", "/home/somebody"
	k.env = append(k.env, "HOME=/root", "USER=root", "LOGNAME=root")
	k.wait(k.start())
	out := k.read(k.run, "stdout")
	for _, want := range []string{
		"0 -> /dev/null", "1 -> " + k.run + "/stdout", "2 -> " + k.run + "/stderr",
		"\n" + k.run + "\n", "HOME=/home/somebody\n", "USER=somebody\n", "LOGNAME=somebody\n", "TOKEN=secret-for-nobody\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if strings.Contains(out, " 3 -> ") || strings.Contains(out, " 4 -> ") {
		t.Errorf("more descriptors than three: %s", out)
	}
	if strings.Contains(out, "HOME=/root") || strings.Contains(out, "=root\n") {
		t.Errorf("root's environment came along: %s", out)
	}
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if text := k.read(k.dir, e.Name()); strings.Contains(text, "secret-for-nobody") {
			t.Errorf("the environment is on disk in %s", e.Name())
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
}
