// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// bothPlaces runs a test with solvers that supervisors fork, and with a stage that they
// execute.
func bothPlaces(t *testing.T, test func(t *testing.T)) {
	for name, stage := range map[string]string{"forked": "", "executed": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(stageVariable, stage)
			test(t)
		})
	}
}

// inPlace starts the task, and looks at its process before the solver executes.
func (k *task) inPlace(look func(pid, supervisor int)) error {
	k.t.Helper()
	lock, err := lockRecord(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	folder, err := os.OpenFile(filepath.Join(filepath.Dir(k.run), "folder.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		k.t.Fatal(err)
	}
	defer folder.Close()
	p, err := Start(k.t.Context(), Launch{Dir: k.dir, Lock: lock, Folder: folder, Spec: &k.spec, Env: k.env, Ready: func(pid int) error {
		stat, err := procfs.ReadStat(procfs.Root, pid)
		if err != nil {
			return err
		}
		look(pid, stat.PPID)
		return nil
	}})
	if err == nil {
		k.t.Cleanup(p.Close)
		k.wait(p)
	}
	return err
}

// What waits in the solver's place has the streams, the output to hand on, and the
// socket: a lock that it held would outlive the supervisor.
func TestPlaceHoldsNothingOfTheSupervisors(t *testing.T) {
	bothPlaces(t, func(t *testing.T) {
		k := shell(t, "exit 0")
		err := k.inPlace(func(pid, _ int) {
			var sockets int
			links, err := filepath.Glob(filepath.Join(procfs.Root, strconv.Itoa(pid), "fd", "*"))
			if err != nil || len(links) == 0 {
				t.Fatalf("%v, %v", links, err)
			}
			for _, link := range links {
				to, _ := os.Readlink(link)
				if strings.HasPrefix(to, "socket:") {
					sockets++
				}
				if strings.HasSuffix(to, "lock") {
					t.Errorf("it holds %s", to)
				}
			}
			if sockets != 1 {
				t.Errorf("it has %d sockets", sockets)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A supervisor that dies while the plugin thinks takes the place with it, and nobody
// holds the locks any more.
func TestSupervisorKilledBeforeGo(t *testing.T) {
	bothPlaces(t, func(t *testing.T) {
		k := shell(t, "echo ran")
		err := k.inPlace(func(pid, supervisor int) {
			kill(t, supervisor)
			eventually(t, "the place has ended", func() bool { return gone(pid) })
		})
		if held, err := durable.Held(lockPath(k.dir)); err != nil || held {
			t.Errorf("the lock is held: %v, %v", held, err)
		}
		if err == nil {
			t.Error("the launch went on")
		}
		if text := k.read(k.run, "stdout"); text != "" {
			t.Errorf("the solver ran: %q", text)
		}
	})
}

// Nothing that looks for supervisors takes it for one, and a person sees what it is.
func TestPlaceShowsWhatItIs(t *testing.T) {
	for stage, want := range map[string]string{"": shim.PlaceWord, "1": shim.StageCommand} {
		t.Run(want, func(t *testing.T) {
			t.Setenv(stageVariable, stage)
			k := shell(t, "exit 0")
			err := k.inPlace(func(pid, supervisor int) {
				if args := arguments(pid); len(args) < 2 || args[1] != want {
					t.Errorf("it shows %q", args)
				}
				if args := arguments(supervisor); len(args) != 3 || args[1] != shim.SuperviseCommand {
					t.Errorf("the supervisor shows %q", args)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A signal ends what waits in the solver's place as it would end the solver; Go's runtime
// is not there to take it.
func TestPlaceIsEndedBySignals(t *testing.T) {
	bothPlaces(t, func(t *testing.T) {
		k := shell(t, "echo ran")
		err := k.inPlace(func(pid, _ int) {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			eventually(t, "it has ended", func() bool { return gone(pid) })
		})
		if err == nil || !strings.Contains(err.Error(), "ended before its time") {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever is done in the solver's place is done as well where a stage is executed for
// it: where the kernel's interface for a fork is not known, or by an operator's wish.
func TestStageDoesWhatAForkDoes(t *testing.T) {
	const tests = `Birth|FileLimitIsAsFound|LimitsAreRaisedAsTheUnitAllows|InheritsNothingElse|ExactExit|LaunchErrors|ReadyHookCanCallOff|ContextEndsALaunch|` +
		`PlantedOutput|FormerOutputIsKept|OneFileForBothStreams|LargeEnvironment|PluginKilledBeforeGo|PluginKilledAfterGo|LockHasNoGap|` +
		`NoNewPrivileges|DescriptorsStayHere|CgroupV1|CgroupV2|MemoryPolicyOfTheSolver|MemoryThatCannotBeBoundIsALaunchError|Start_.*`
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^Test("+tests+")$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), stageVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if ran := regexp.MustCompile(`(?m)^--- PASS: `).FindAll(out, -1); len(ran) < 10 {
		t.Errorf("only %d tests ran: %s", len(ran), bytes.TrimSpace(out))
	}
}
