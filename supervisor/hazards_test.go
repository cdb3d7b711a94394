// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// Every step of the launch that fails says which, and leaves neither a process
// nor a held lock.
func TestLaunchErrors(t *testing.T) {
	cases := map[string]struct {
		spoil func(t *testing.T, k *task)
		words []string
		root  bool
	}{
		"no such command": {
			func(t *testing.T, k *task) { k.spec.Command = "/nonexistent/ls-dyna" },
			[]string{"execute /nonexistent/ls-dyna", "no such file"},
			false,
		},
		"not executable": {
			func(t *testing.T, k *task) { k.spec.Command = "/etc/passwd" },
			[]string{"execute /etc/passwd", "permission denied"},
			false,
		},
		"no run folder": {
			func(t *testing.T, k *task) { k.spec.Dir = k.run + "/nowhere" },
			[]string{"enter run folder", "/nowhere", "no such file"},
			false,
		},
		"a run folder that the user may not enter": {
			func(t *testing.T, k *task) {
				if err := os.Chown(k.run, 0, 0); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"enter run folder", "nobody", "permission denied"},
			true,
		},
		"a run folder that is a link to root's": {
			func(t *testing.T, k *task) {
				link := filepath.Join(filepath.Dir(k.run), "link")
				if err := os.Symlink(k.dir, link); err != nil {
					t.Fatal(err)
				}
				k.spec.Dir = link
			},
			[]string{"enter run folder", "permission denied"},
			true,
		},
		"a run folder that may not be written": {
			func(t *testing.T, k *task) {
				if err := os.Chown(k.run, 0, 0); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(k.run, 0o755); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"create output file stdout", "permission denied"},
			true,
		},
		"a CPU that is not there": {
			func(t *testing.T, k *task) { k.spec.CPUs = []int{2001} },
			[]string{"bind to CPUs 2001", "none of them"},
			false,
		},
		"a CPU too many": {
			func(t *testing.T, k *task) { k.spec.CPUs = append(someCPUs(t, 1), 2001) },
			[]string{"bind to CPUs", "2001", "allows only"},
			false,
		},
		"a CPU outside the cpuset": {
			func(t *testing.T, k *task) {
				cpus := someCPUs(t, 2)
				k.v1(cpuList(cpus[:1]))
				k.spec.CPUs = cpus[1:]
			},
			[]string{"bind to CPUs", "cpuset"},
			true,
		},
		"a cpuset without CPUs": {
			func(t *testing.T, k *task) { k.v1("") },
			[]string{"join cgroup", "no CPUs"},
			true,
		},
		"a cgroup that is gone (v1)": {
			func(t *testing.T, k *task) {
				k.v1(cpuList(someCPUs(t, 1)))
				removeCgroup(t, k.spec.Cgroups.Memory)
			},
			[]string{"join cgroup", "no such file"},
			true,
		},
		"a cgroup that is gone (v2)": {
			func(t *testing.T, k *task) {
				k.v2()
				removeCgroup(t, k.spec.Cgroups.Join[0])
			},
			[]string{"open cgroup", "no such file"},
			true,
		},
		"another user, without the right to": {
			func(t *testing.T, k *task) {
				if asRoot() {
					t.Skip("root may become anybody")
				}
				k.spec.User.UID++
			},
			[]string{"become user", "may not"},
			false,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.root && !asRoot() {
				t.Skip("needs root")
			}
			k := shell(t, "echo ran")
			c.spoil(t, k)
			_, err := k.launch()
			var failed *LaunchError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v", err)
			}
			for _, word := range c.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("no %q in %q", word, err)
				}
			}
			if held, err := durable.Held(lockPath(k.dir)); err != nil || held {
				t.Errorf("the lock is held (%v)", err)
			}
			exit := k.wait(open(t, k))
			if exit.Code != -1 || exit.LaunchError != failed.Reason {
				t.Errorf("recorded %+v", exit)
			}
			if text := k.read(k.run, "stdout"); strings.Contains(text, "ran") {
				t.Error("the solver ran")
			}
			below := proctree.Tree{ProcRoot: procfs.Root, Parent: os.Getpid()}
			if pids, err := below.PIDs(); err != nil || len(pids) > 0 {
				t.Errorf("left processes %v (%v)", pids, err)
			}
		})
	}
}

func TestReadyHookCanCallOff(t *testing.T) {
	k := shell(t, "echo ran")
	lock, err := lockRecord(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	refuse := errors.New("the plugin thinks better of it")
	_, err = Start(t.Context(), Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env, Ready: func(int) error { return refuse }})
	if !errors.Is(err, refuse) {
		t.Errorf("got %v", err)
	}
	if k.read(k.run, "stdout") != "" {
		t.Error("the solver ran")
	}
}

func TestContextEndsALaunch(t *testing.T) {
	k := shell(t, "echo ran")
	lock, err := lockRecord(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Start(ctx, Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env, Ready: func(int) error { cancel(); return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if k.read(k.run, "stdout") != "" {
		t.Error("the solver ran")
	}
}

// What lies where the output should go is kept, and what was planted there is
// neither followed nor waited for.
func TestPlantedOutput(t *testing.T) {
	cases := map[string]func(path, victim string) error{
		"a link to root's file":   func(path, victim string) error { return os.Symlink(victim, path) },
		"a dangling link":         func(path, victim string) error { return os.Symlink(victim+".new", path) },
		"a FIFO":                  func(path, _ string) error { return syscall.Mkfifo(path, 0o666) },
		"a folder":                func(path, _ string) error { return os.Mkdir(path, 0o777) },
		"a second name of a file": func(path, victim string) error { return os.Link(victim, path) },
	}
	for name, plant := range cases {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "echo fresh")
			victim := filepath.Join(filepath.Dir(k.run), "victim")
			if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := plant(filepath.Join(k.run, "stdout"), victim); err != nil {
				t.Fatal(err)
			}
			k.wait(k.start())
			info, err := os.Lstat(filepath.Join(k.run, "stdout"))
			if err != nil || !info.Mode().IsRegular() || k.read(k.run, "stdout") != "fresh\n" {
				t.Errorf("stdout is %v, %v", info, err)
			}
			if _, err := os.Lstat(filepath.Join(k.run, "stdout.1")); err != nil {
				t.Errorf("what was there is gone: %v", err)
			}
			if read(t, victim) != "untouched" {
				t.Error("the victim was written")
			}
			if _, err := os.Lstat(victim + ".new"); err == nil {
				t.Error("the link was followed")
			}
		})
	}
}

func TestFormerOutputIsKept(t *testing.T) {
	k := shell(t, "echo run $RUN")
	env := k.env
	for n := range 3 {
		k.env = append(slices.Clone(env), fmt.Sprintf("RUN=%d", n))
		k.wait(k.start())
		os.Remove(filepath.Join(k.dir, "pid"))
		os.Remove(filepath.Join(k.dir, "exit.json"))
	}
	for name, want := range map[string]string{"stdout": "run 2\n", "stdout.1": "run 0\n", "stdout.2": "run 1\n"} {
		if got := k.read(k.run, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if asRoot() {
		info, err := os.Stat(filepath.Join(k.run, "stdout"))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(nobody.UID) || info.Mode().Perm() != 0o644 {
			t.Errorf("stdout: %v, %v", info, err)
		}
	}
}

func TestOneFileForBothStreams(t *testing.T) {
	k := shell(t, "echo a; echo b >&2; echo c")
	k.spec.StderrName = k.spec.StdoutName
	out, failed := k.fifos()
	fromOut, fromFailed := reader(t, out), reader(t, failed)
	k.wait(k.start())
	if got := collected(t, fromOut); got != "a\nb\nc\n" {
		t.Errorf("got %q", got)
	}
	if got := collected(t, fromFailed); got != "" {
		t.Errorf("stderr: %q", got)
	}
}

func TestLargeEnvironment(t *testing.T) {
	k := shell(t, `echo ${#A0} ${#A19}`)
	for n := range 20 {
		k.env = append(k.env, fmt.Sprintf("A%d=%s", n, strings.Repeat("<", 100_000)))
	}
	k.wait(k.start())
	if got := k.read(k.run, "stdout"); got != "100000 100000\n" {
		t.Errorf("got %q", got)
	}
}

func TestExec(t *testing.T) {
	cgroupKinds(t, func(t *testing.T) *task { return shell(t, "echo up; sleep 1000") }, func(t *testing.T, k *task) {
		cpus := someCPUs(t, 1)
		p := k.start()
		k.says("up")
		c, err := Command(p.Spec(), ExecOptions{
			Argv: []string{"sh", "-c", "cat /proc/self/status /proc/self/cgroup; pwd; cat; echo $TOKEN; exit 6"}, Env: k.env, CPUs: cpus,
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		c.Cmd.Stdin, c.Cmd.Stdout = strings.NewReader("from stdin\n"), &out
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if code, err := c.Wait(t.Context()); code != 6 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
		text := out.String()
		if got := status(t, text, "Cpus_allowed_list"); got != cpuList(cpus) {
			t.Errorf("ran on CPUs %s", got)
		}
		if asRoot() && (!strings.HasPrefix(status(t, text, "Uid"), "65534") || status(t, text, "Groups") != "") {
			t.Errorf("ran as %s, groups %q", status(t, text, "Uid"), status(t, text, "Groups"))
		}
		for _, dir := range k.spec.Cgroups.Join {
			if !strings.Contains(text, ":/"+filepath.Base(dir)+"\n") {
				t.Errorf("not in cgroup %s: %s", dir, text)
			}
		}
		if !strings.Contains(text, "\n"+k.run+"\nfrom stdin\nsecret-for-nobody\n") {
			t.Errorf("got %s", text)
		}
	})
}

func TestExecFailuresAreNotExitCodes(t *testing.T) {
	k := shell(t, "true")
	k.spec.Version = 1
	for name, c := range map[string]struct {
		argv []string
		cpus []int
		word string
	}{
		"not found":    {[]string{"no-such-command"}, nil, "execute no-such-command: no such file"},
		"not a binary": {[]string{"/etc/passwd"}, nil, "execute /etc/passwd: permission denied"},
		"no such CPU":  {[]string{"true"}, []int{2000}, "bind to CPUs 2000"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, err := Command(&k.spec, ExecOptions{Argv: c.argv, Env: k.env, CPUs: c.cpus})
			if err != nil {
				t.Fatal(err)
			}
			err = cmd.Start(t.Context())
			var failed *LaunchError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("got %v", err)
			}
		})
	}
	cmd, err := Command(&k.spec, ExecOptions{Argv: []string{"sh", "-c", "kill -TERM $$"}, Env: k.env})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, err := cmd.Wait(t.Context()); code != 143 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

// An exec session that outlives the solver ends with it: it is in the cgroup.
func TestExecEndsWithTheTask(t *testing.T) {
	k := shell(t, "echo up; read line < go")
	letGo := k.gate()
	k.v2()
	p := k.start()
	k.says("up")
	// It ends by itself some time, for a supervisor that does not end it.
	c, err := Command(p.Spec(), ExecOptions{Argv: []string{"sleep", "30"}, Env: k.env})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	letGo()
	k.wait(p)
	if code, err := c.Wait(t.Context()); code != 137 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

// Everything above that makes sense for an unprivileged plugin, as one.
func TestUnprivileged(t *testing.T) {
	if !asRoot() {
		t.Skip("it is already")
	}
	dir := t.TempDir()
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	bin := filepath.Join(dir, "supervisor.test")
	if err := os.WriteFile(bin, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-test.v", "-test.run", "Exact|Birth|Inherits|Plugin|Supervisor|Leftovers|LaunchErrors|Planted|Exec|Bind|Logs|Kill")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Count(out, []byte("--- PASS")) < 20 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSpecIsValidated(t *testing.T) {
	for name, spoil := range map[string]func(*Spec){
		"a relative command":     func(s *Spec) { s.Command = "ls-dyna" },
		"a relative folder":      func(s *Spec) { s.Dir = "run" },
		"output elsewhere":       func(s *Spec) { s.StdoutName = "../stdout" },
		"output nowhere":         func(s *Spec) { s.StderrName = "" },
		"a negative user":        func(s *Spec) { s.User.UID = -1 },
		"an unknown cgroup mode": func(s *Spec) { s.Cgroups.Mode = "v3" },
		"no cgroup to join":      func(s *Spec) { s.Cgroups.Mode = CgroupV2 },
		"no freezer":             func(s *Spec) { s.Cgroups.Mode = CgroupV1 },
		"a relative FIFO":        func(s *Spec) { s.StdoutFIFO = "fifo" },
	} {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "true")
			spoil(&k.spec)
			if err := WriteSpec(k.dir, &k.spec); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// Nobody's mistake at the keyboard starts anything.
func TestCommandsByHand(t *testing.T) {
	for _, args := range [][]string{{"supervise", "/nonexistent"}, {"stage"}} {
		out, err := exec.Command("/proc/self/exe", args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "not by hand") {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}

func TestCPUWeight(t *testing.T) {
	for shares, want := range map[int64]int64{0: 0, 2: 1, 1024: 100, 262144: 10000, 1 << 40: 10000} {
		if got := CPUWeight(shares); got != want {
			t.Errorf("CPUWeight(%d) = %d, want %d", shares, got, want)
		}
	}
}

// The pid file is readable by the older tool: a number, and "cores" beside it.
func TestPidFileOfARunningTask(t *testing.T) {
	k := shell(t, "echo up; sleep 1000")
	k.spec.CPUs = someCPUs(t, 1)
	p := k.start()
	r, err := pidfile.Read(filepath.Join(k.dir, "pid"))
	if err != nil || !r.Alive(procfs.Root) || !r.SupervisorAlive(procfs.Root) {
		t.Errorf("got %+v, %v", r, err)
	}
	if !strings.HasPrefix(k.read(k.dir, "pid"), fmt.Sprintf("%d\n{\"cores\":[%d],", r.PID, k.spec.CPUs[0])) {
		t.Errorf("got %s", k.read(k.dir, "pid"))
	}
	if p.State() != Running {
		t.Errorf("state %s", p.State())
	}
}

// One of these runs beside every solver. (In the plugin's binary it is a little
// larger: `make bench`.)
func TestSupervisorIsSmall(t *testing.T) {
	k := shell(t, "echo up; sleep 1000")
	out, _ := k.fifos()
	p := k.start()
	f, err := os.OpenFile(out, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	_, supervisor := record(t, p)
	limit := int64(3 << 20)
	if raceEnabled {
		limit *= 10 // the race detector's shadow
	}
	if got := privateBytes(t, supervisor); got > limit {
		t.Errorf("%d KiB of private memory", got>>10)
	}
	about := read(t, fmt.Sprintf("/proc/%d/status", supervisor))
	if got := status(t, about, "THP_enabled"); got != "0" {
		t.Errorf("huge pages: %s", got)
	}
	if got := status(t, about, "NSsid"); got != fmt.Sprint(supervisor) {
		t.Errorf("session %s", got)
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", supervisor)); err != nil || cwd != "/" {
		t.Errorf("working directory %s, %v", cwd, err)
	}
}
