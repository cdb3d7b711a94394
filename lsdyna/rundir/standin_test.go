// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
)

// allowedCPUs are the CPUs that this process may use.
func allowedCPUs(t *testing.T) []int {
	t.Helper()
	var set unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(0, &set))
	var cpus []int
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// standinDir is where buildStandin put the stand-in solver.
var standinDir string

// buildStandin builds the stand-in solver once for all tests.
var buildStandin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "standin-solver-")
	if err != nil {
		return "", err
	}
	standinDir = dir
	path := filepath.Join(dir, "solver")
	out, err := exec.Command("go", "build", "-o", path, "../../example/solver").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if standinDir != "" {
		_ = os.RemoveAll(standinDir)
	}
	os.Exit(code)
}

// standin is one run of the stand-in solver in a run folder.
type standin struct {
	t        *testing.T
	folder   *Folder
	follower *Follower
	process  *exec.Cmd
}

func standinSolver(t *testing.T) lsdyna.Solver {
	t.Helper()
	path, err := buildStandin()
	must.NoError(t, err)
	return lsdyna.Solver{Name: "stand-in solver", Path: path}
}

// standinFolder is a run folder with a small deck.
func standinFolder(t *testing.T) string {
	dir := t.TempDir()
	for from, to := range map[string]string{"small.k": "small.k", "mesh_small.k": "mesh_small.k"} {
		copyFile(t, filepath.Join("..", "..", "example", "decks", "shell_box_crush", from), filepath.Join(dir, to))
	}
	return dir
}

// startStandin starts a command as the driver does: with a fresh stdout, and with
// the state of the old outputs.
func startStandin(t *testing.T, dir string, s lsdyna.Solver, o launch.Options) *standin {
	t.Helper()
	folder := openFolder(t, dir)
	if o.Input == "" {
		o.Input = "small.k"
	}
	if o.Env == nil {
		o.Env = map[string]string{}
	}
	o.Env["PATH"], o.Env["HOME"] = os.Getenv("PATH"), dir
	o.Root = os.Getuid() == 0
	must.NoError(t, folder.CheckInput(o.Input))
	_ = os.Remove(filepath.Join(dir, lsdyna.KillFile))
	cmd, err := launch.Build(s, o)
	must.NoError(t, err)
	must.NoError(t, folder.WriteFiles(cmd.Files))
	old, err := folder.Snapshot(t.Context(), "")
	must.NoError(t, err)
	path := filepath.Join(dir, lsdyna.DefaultStdout)
	if _, err := os.Lstat(path); err == nil {
		must.NoError(t, os.Rename(path, path+".1"))
	}
	stdout, err := os.Create(path)
	must.NoError(t, err)
	defer stdout.Close()
	process := exec.Command(cmd.Path, cmd.Args...)
	process.Dir, process.Env, process.Stdout, process.Stderr = dir, cmd.Env, stdout, stdout
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		_ = process.Wait()
	})
	return &standin{t, folder, NewFollower(folder, FollowOptions{JobID: o.JobID, Old: old}), process}
}

// wait waits for the end and gives the verdict as the driver does.
func (s *standin) wait() (output.Snapshot, output.Outcome) {
	s.t.Helper()
	_ = s.process.Wait()
	snapshot, err := s.follower.Drain(s.t.Context())
	must.NoError(s.t, err)
	status := s.process.ProcessState.Sys().(syscall.WaitStatus)
	exit := output.Exit{Known: true, Code: status.ExitStatus()}
	if status.Signaled() {
		exit = output.Exit{Known: true, Signal: int(status.Signal())}
	}
	return snapshot, output.Decide(snapshot, exit)
}

// until polls the run until it is as asked for.
func (s *standin) until(what string, is func(output.Snapshot) bool) output.Snapshot {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		snapshot, _ := s.follower.Poll()
		if is(snapshot) {
			return snapshot
		}
	}
	s.t.Fatalf("waited in vain for: %s", what)
	return output.Snapshot{}
}

func cycling(s output.Snapshot) bool { return s.Phase == output.PhaseSolving && s.HasTime }

func TestStandin_outcomes(t *testing.T) {
	for _, c := range []struct {
		faults string
		want   output.Kind
		reason string
		code   int // of the first error
	}{
		{"", output.Completed, "normal termination at the end time", 0},
		{"warnings=70", output.Completed, "70 warnings", 0},
		{"error=20,exit_code=0", output.Failed, "*** Error 40500", 40500},
		{"negative_volume=20", output.Failed, "*** Error 40509", 40509},
		{"short=0.5", output.Stopped, "before the end time", 0},
		{"vanish=20", output.Unknown, "exit code 0, but LS-DYNA printed no end", 0},
		{"kill=20", output.Killed, "SIGKILL", 0},
		{"exit_code=3", output.Completed, "; exit code 3", 0},
		{"license_refused", output.LicenceError, "no licence", 0},
		{"element_limit=1", output.LicenceError, "does not cover a model of this size", 70043},
	} {
		t.Run(c.faults, func(t *testing.T) {
			t.Parallel()
			dir := standinFolder(t)
			run := startStandin(t, dir, standinSolver(t), launch.Options{NCPU: 2, Args: []string{"endtime=0.5"}, Env: map[string]string{"STANDIN_FAULT": c.faults}})
			snapshot, outcome := run.wait()
			must.Eq(t, c.want, outcome.Kind, must.Sprint(outcome.Reason))
			must.StrContains(t, outcome.Reason, c.reason)
			if c.code != 0 {
				must.Eq(t, c.code, outcome.FirstError.Code)
			}
			must.Eq(t, lsdyna.SMP, snapshot.Parallel)
			must.Eq(t, lsdyna.Double, snapshot.Precision)
			checkLater(t, dir, snapshot, outcome)
		})
	}
}

// checkLater inspects a run folder without knowing how the process ended. The folder
// and each output in it must show the same run. Where only the end of the process
// gave the verdict, it is unknown now.
func checkLater(t *testing.T, dir string, s output.Snapshot, o output.Outcome) {
	t.Helper()
	want := o.Kind
	if s.Banner == output.NoBanner && s.Errors == 0 && s.LicenceTrouble == "" {
		want = output.Unknown
	}
	folder, err := inspect(t, dir, false)
	must.NoError(t, err)
	must.Eq(t, want, folder.Outcome, must.Sprint(folder.Reason))
	must.Eq(t, orNil(s.Processors), folder.Processors)
	for _, name := range s.Sources {
		r, err := inspect(t, filepath.Join(dir, name), false)
		must.NoError(t, err)
		switch {
		case name == "status.out", want == output.LicenceError: // only stdout holds what is printed about licences
		case want == output.Stopped && r.EndTime == nil: // the end time is needed for this
			must.Eq(t, output.Unknown, r.Outcome, must.Sprint(name, ": ", r.Reason))
		default:
			must.Eq(t, want, r.Outcome, must.Sprint(name, ": ", r.Reason))
		}
		if name == "status.out" || r.Time == nil {
			continue
		}
		must.Eq(t, []any{folder.Time, folder.Cycle, folder.Version, folder.Parallel, folder.Precision}, []any{r.Time, r.Cycle, r.Version, r.Parallel, r.Precision}, must.Sprint(name))
		if out, _ := lsdyna.ParseOutputName(name); out.Kind == lsdyna.KindMessag {
			must.Nil(t, r.EndTime, must.Sprint("messag never tells the end time"))
		} else {
			must.Eq(t, folder.EndTime, r.EndTime, must.Sprint(name))
		}
	}
}

func TestStandin_stopWithADumpThenGoOn(t *testing.T) {
	solver := standinSolver(t)
	dir := standinFolder(t)
	folder := openFolder(t, dir)
	o := launch.Options{Input: "small.k", NCPU: 1, Env: map[string]string{"STANDIN_PACE": "2ms", "STANDIN_POLL": "10"}}
	cmd, err := launch.Build(solver, o)
	must.NoError(t, err)
	id, err := identity.New(hashed(t, folder, o.Input), solver, o, cmd)
	must.NoError(t, err)
	must.NoError(t, folder.WriteRecord(Record{Identity: id, Started: time.Now()}))

	run := startStandin(t, dir, solver, o)
	before := run.until("cycles", cycling)
	watch := DumpWatch{Since: time.Now(), Last: before.LastDump()}
	must.NoError(t, run.folder.WriteFile(lsdyna.KillFile, []byte("sw1.\n")))
	var state DumpState
	run.until("a complete dump", func(s output.Snapshot) bool {
		state = watch.Look(run.folder, s)
		return state.Complete
	})
	must.FileNotExists(t, filepath.Join(dir, lsdyna.KillFile), must.Sprint("the solver took the switch"))
	_, outcome := run.wait()
	must.Eq(t, output.Stopped, outcome.Kind, must.Sprint(outcome.Reason))
	must.Eq(t, state.Dump.Name, outcome.RestartFile)

	record, err := folder.ReadRecord()
	must.NoError(t, err)
	choice, err := SelectRestart(t.Context(), folder, record, id, lsdyna.DefaultStdout)
	must.NoError(t, err)
	must.Eq(t, state.Files.Name, choice.Dump, must.Sprint(choice.Why))
	o.Restart, o.Env = choice.Dump, nil
	snapshot, outcome := startStandin(t, dir, solver, o).wait()
	must.Eq(t, output.Completed, outcome.Kind, must.Sprint(outcome.Reason))
	must.FileExists(t, filepath.Join(dir, "stdout.1"))
	must.GreaterEq(t, snapshot.EndTime, snapshot.Time)
}

func TestStandin_sigtermLeavesNoDump(t *testing.T) {
	run := startStandin(t, standinFolder(t), standinSolver(t), launch.Options{Env: map[string]string{"STANDIN_PACE": "2ms"}})
	run.until("cycles", cycling)
	must.NoError(t, run.process.Process.Signal(syscall.SIGTERM))
	_, outcome := run.wait()
	must.Eq(t, output.Killed, outcome.Kind, must.Sprint(outcome.Reason))
}

func TestStandin_waitingForALicenceIsNoStart(t *testing.T) {
	run := startStandin(t, standinFolder(t), standinSolver(t), launch.Options{Env: map[string]string{"STANDIN_FAULT": "license_wait=forever"}})
	s := run.until("the header", func(s output.Snapshot) bool { return s.Version != "" })
	must.False(t, s.LicenceGranted)
	must.Eq(t, output.PhaseLicence, s.Phase)
}

func TestStandin_mpp(t *testing.T) {
	mpirun, err := exec.LookPath("mpirun")
	if err != nil {
		t.Skip("no mpirun here")
	}
	solver := standinSolver(t)
	solver.Parallel, solver.MPI, solver.MPIRun = lsdyna.MPP, lsdyna.OpenMPI, mpirun
	for faults, want := range map[string]output.Kind{"": output.Completed, "error=20,rank=1": output.Failed, "kill=20,rank=1": output.Killed} {
		t.Run(faults, func(t *testing.T) {
			dir := standinFolder(t)
			run := startStandin(t, dir, solver, launch.Options{NCPU: 2, Args: []string{"endtime=0.5"}, Placement: launch.Placement{CPUs: allowedCPUs(t)}, Env: map[string]string{"STANDIN_FAULT": faults}})
			snapshot, outcome := run.wait()
			must.Eq(t, want, outcome.Kind, must.Sprint(outcome.Reason))
			must.Eq(t, lsdyna.MPP, snapshot.Parallel)
			must.Eq(t, 2, snapshot.Processors)
			must.Eq(t, []string{"stdout", "mes0000", "d3hsp"}, snapshot.Sources[:min(3, len(snapshot.Sources))])
			if want == output.Completed {
				for rank := range 2 {
					must.FileExists(t, filepath.Join(dir, "mes000"+strconv.Itoa(rank)))
				}
			}
		})
	}
}
