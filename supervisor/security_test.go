// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
)

// The supervisor holds the record's lock and knows the exit status: the task's
// user must not be able to end it, to look into it, or to use its descriptors.
func TestSupervisorIsOutOfTheUsersReach(t *testing.T) {
	if !asRoot() {
		t.Skip("without root both run as one user")
	}
	k := shell(t, `
		for sig in KILL STOP TERM INT HUP USR1; do kill -$sig $PPID && echo "sent $sig"; done
		for file in environ mem maps fd/4 cwd; do
			head -c 1 /proc/$PPID/$file > /dev/null && echo "read $file"
		done
		ls /proc/$PPID/fd && echo "listed fd"
		ls `+"$RECORD"+` && echo "listed record"
		exit 5`)
	k.env = append(k.env, "RECORD="+k.dir)
	exit := k.wait(k.start())
	if exit.Code != 5 {
		t.Errorf("got %+v", exit)
	}
	if said := k.read(k.run, "stdout"); said != "" {
		t.Errorf("the user could: %s", said)
	}
	if said := k.read(k.run, "stderr"); strings.Count(said, "denied")+strings.Count(said, "not permitted") < 12 {
		t.Errorf("not everything was tried: %s", said)
	}
}

// What stands in the solver's place is root's until it becomes the user. What the task's environment
// says (LD_PRELOAD, GODEBUG) must mean nothing to it, nor to the supervisor.
func TestTaskEnvironmentReachesTheSolverOnly(t *testing.T) {
	bothPlaces(t, taskEnvironmentReachesTheSolverOnly)
}

func taskEnvironmentReachesTheSolverOnly(t *testing.T) {
	k := shell(t, "echo $LD_PRELOAD $GODEBUG")
	k.env = append(k.env, "LD_PRELOAD=/nonexistent/evil.so", "GODEBUG=inittrace=1")
	lock, err := lockRecord(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	p, err := Start(t.Context(), Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env, Ready: func(pid int) error {
		stage := read(t, fmt.Sprintf("/proc/%d/environ", pid))
		_, rest, _ := strings.Cut(read(t, fmt.Sprintf("/proc/%d/stat", pid)), ") ")
		parent := strings.Fields(rest)[1]
		seen = append(seen, stage, read(t, "/proc/"+parent+"/environ"))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	k.wait(p)
	if len(seen) != 2 {
		t.Fatalf("saw %d environments", len(seen))
	}
	for _, environ := range seen {
		if environ == "" || strings.Contains(environ, "LD_PRELOAD") || strings.Contains(environ, "inittrace") || strings.Contains(environ, "secret") {
			t.Errorf("environment of root's process: %q", environ)
		}
	}
	if got := k.read(k.run, "stdout"); got != "/nonexistent/evil.so inittrace=1\n" {
		t.Errorf("the solver has %q", got)
	}
}

// A solver and what is executed beside it gain no rights through setuid
// programs, unless the operator says so.
func TestNoNewPrivileges(t *testing.T) {
	for name, c := range map[string]struct {
		allow bool
		want  string
	}{
		"by default":            {false, "1"},
		"setuid is allowed":     {true, "0"},
		"also for root's tasks": {false, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			k := shell(t, "cat /proc/$$/status; sleep 1000")
			k.spec.AllowSetuid = c.allow
			if strings.Contains(name, "root") && asRoot() {
				k.spec.User = User{Name: "root"}
			}
			p := k.start()
			k.says("NoNewPrivs")
			k.says("voluntary_ctxt")
			if got := status(t, k.read(k.run, "stdout"), "NoNewPrivs"); got != c.want {
				t.Errorf("the solver has NoNewPrivs %s", got)
			}
			if out := execute(t, k, p, "cat", "/proc/self/status"); status(t, out, "NoNewPrivs") != c.want {
				t.Errorf("a command has NoNewPrivs %s", status(t, out, "NoNewPrivs"))
			}
		})
	}
}

// execute runs a command beside the task and returns what it prints.
func execute(t *testing.T, k *task, p *Process, argv ...string) string {
	t.Helper()
	c, err := Command(p.Spec(), ExecOptions{Argv: argv, Env: k.env})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.Cmd.Stdout = &out
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, err := c.Wait(t.Context()); code != 0 || err != nil {
		t.Fatalf("code %d, %v", code, err)
	}
	return out.String()
}

// No descriptor of the plugin's or the supervisor's, among them the record's
// lock, comes to the task: it would keep the record locked for ever.
func TestDescriptorsStayHere(t *testing.T) { bothPlaces(t, descriptorsStayHere) }

func descriptorsStayHere(t *testing.T) {
	k := shell(t, "ls /proc/$$/fd; echo up; sleep 1000")
	// One that whoever started the agent forgot, and one of the plugin's own.
	for _, flags := range []int{0, syscall.O_CLOEXEC} {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
	}
	p := k.start()
	k.says("up")
	solver := strings.Fields(k.read(k.run, "stdout"))
	// The shell may have one of its own, from 10 up.
	if got := strings.Join(solver, " "); got != "0 1 2 up" && got != "0 1 10 2 up" {
		t.Errorf("the solver has descriptors %s", got)
	}
	for fd, is := range map[string]string{"0": os.DevNull, "1": filepath.Join(k.run, "stdout"), "2": filepath.Join(k.run, "stderr")} {
		pid, _ := record(t, p)
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd)); err != nil || to != is {
			t.Errorf("descriptor %s is %s (%v)", fd, to, err)
		}
	}
	// sh executes ls in its own place, and ls opens the folder.
	if got := strings.Join(strings.Fields(execute(t, k, p, "ls", "/proc/self/fd")), " "); got != "0 1 2 3" {
		t.Errorf("a command has descriptors %s", got)
	}
}

// The same where the kernel has no close_range, or does not know its flag, or a
// seccomp profile forbids it.
func TestDescriptorsStayHereOnOldKernels(t *testing.T) {
	for _, answer := range []syscall.Errno{kerneltest.Unknown, kerneltest.Denied, syscall.EINVAL} {
		t.Run(answer.Error(), func(t *testing.T) {
			if kerneltest.WithGlibc && answer != kerneltest.Unknown {
				t.Skip("glibc starts no thread then; needs a test that is built without cgo")
			}
			out, err := exec.CommandContext(t.Context(), "/proc/self/exe", "old-kernel", strconv.Itoa(int(answer)),
				"-test.run=^TestDescriptorsStayHere$", "-test.count=1", "-test.v").CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestDescriptorsStayHere ")) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
