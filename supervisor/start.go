// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/program"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// Launch is what Start needs.
type Launch struct {
	// Dir is the record directory: absolute, existing, 0700, this
	// invocation's own.
	Dir string

	// Lock is the record's lock as durable.Lock returned it. Start takes it
	// over and closes it in every case: the supervisor inherits the lock without a
	// gap and holds it until it ends.
	Lock *os.File

	// Folder is the lock of the run folder, opened for writing; nil for none. The
	// supervisor inherits it, too, and marks the run's end in the file. The caller
	// closes its own.
	Folder *os.File

	// Spec is written to spec.json by Start; nil when WriteSpec has been
	// called already.
	Spec *Spec

	// Env is the task's environment as "key=value". It goes to the solver
	// through sockets, never to disk. HOME, USER and LOGNAME are set from
	// Spec.User.
	Env []string

	// Ready, if not nil, is called when the launch stage stands in the
	// solver's place with everything set, before the pid file is written and the
	// solver executed. An error ends the launch without running the solver.
	Ready func(pid int) error
}

// launchGrace is how long a supervisor gets to end after a failed launch, and the
// exec to happen after the context's end. A variable for tests.
var launchGrace = 5 * time.Second

// stageVariable set to 1 in the plugin's environment has supervisors execute a launch
// stage where they could fork the solver's process.
const stageVariable = "LSDYNA_EXECUTE_STAGE"

// past is a deadline for what shall not wait any more.
var past = time.Unix(1, 0)

// A NotEndedError says that a launch failed, and that processes of it are still
// there: the kernel ends none that waits for a dead file server. They run no solver,
// but they may hold the record's lock, and its cgroup and cores are not free yet.
type NotEndedError struct {
	// Process is the launch: its Done is closed once nothing of it is left. The
	// caller closes it.
	Process *Process

	Reason error // why the launch failed
	Left   error // what is still there; wraps ErrNotEnded
}

func (e *NotEndedError) Error() string { return fmt.Sprintf("%v (%v)", e.Reason, e.Left) }

// Unwrap makes the error wrap both of its errors.
func (e *NotEndedError) Unwrap() []error { return []error{e.Reason, e.Left} }

// Start launches a task and returns when the solver has been executed, or a moment
// after the end of ctx. When it fails, the solver does not run and the supervisor is
// gone, or the error wraps a *NotEndedError; it wraps a *LaunchError where a step of
// the launch failed. If this process dies before the launch stage has been told to go
// on, the launch ends without running the solver; later, it carries on alone.
func Start(ctx context.Context, l Launch) (*Process, error) {
	defer l.Lock.Close()
	if l.Spec != nil {
		if err := WriteSpec(l.Dir, l.Spec); err != nil {
			return nil, err
		}
	}
	spec, err := ReadSpec(l.Dir)
	if err != nil {
		return nil, err
	}
	child, socket, err := forkSupervisor(l)
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	err = handshake(ctx, socket, l, spec.User)
	socket.Close()
	if err == nil {
		return startedProcess(l.Dir, spec, child), nil
	}
	ended := child.endLaunch()
	err = explain(err, l.Dir)
	if errors.Is(ended, ErrNotEnded) {
		return nil, &NotEndedError{Process: startedProcess(l.Dir, spec, child), Reason: err, Left: ended}
	}
	return nil, errors.Join(err, ended)
}

// startedProcess watches a task whose supervisor this process has started.
func startedProcess(dir string, spec *Spec, child *watched) *Process {
	p := newProcess(dir)
	p.spec, p.supervisor = spec, child
	go p.watchEnd()
	return p
}

// handshake takes the supervisor through the launch.
func handshake(ctx context.Context, socket *os.File, l Launch, user User) error {
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(past) })
	defer stop()
	fail := func(err error) error {
		if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			return context.Cause(ctx)
		}
		return err
	}
	report, err := ask(socket, shim.Order{Env: userEnv(l.Env, user), THP: hugePages(), Stage: os.Getenv(stageVariable) == "1"})
	if err != nil {
		return fail(err)
	}
	// The supervisor may be killed, and the id change hands: hold on to this
	// very process.
	stage, err := holdProcess(report.PID)
	if err != nil {
		return fmt.Errorf("hold launch stage: %w", err)
	}
	defer stage.close()
	if l.Ready != nil {
		if err := l.Ready(report.PID); err != nil {
			return err
		}
	}
	if !stop() {
		return context.Cause(ctx) // just ended: nothing has been executed
	}
	// From here on there is no way back: the solver may run at any moment.
	// The end of ctx only shortens the wait.
	shorten := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Now().Add(launchGrace)) })
	defer shorten()
	if _, err = ask(socket, shim.Order{Go: true}); err != nil {
		if _, ok := errors.AsType[*LaunchError](err); !ok {
			// The exec hangs, or the supervisor was killed: end what may have
			// become the solver.
			stage.kill()
		}
		return fail(err)
	}
	return nil
}

// ask sends one order and returns the report that answers it.
func ask(socket *os.File, order shim.Order) (shim.Report, error) {
	var report shim.Report
	// A supervisor that has given up already does not read; its reason is
	// waiting for us all the same.
	sent := shim.WriteMessage(socket, order)
	if err := shim.ReadMessage(socket, &report); err != nil {
		return report, errors.Join(sent, err)
	}
	if report.Error != "" {
		return report, &LaunchError{report.Error}
	}
	return report, sent
}

// hugePages forbids this process transparent huge pages, for its supervisors'
// sake, and reports whether solvers may have them.
var hugePages = sync.OnceValue(shim.DisableTHP)

// forkSupervisor starts a supervisor for the launch.
func forkSupervisor(l Launch) (*watched, *os.File, error) {
	hugePages()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	log, err := os.OpenFile(logPath(l.Dir), os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	socket, theirs, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	pidfd, wanted := -1, (*int)(nil)
	if proctree.HavePidfds() { // one that comes with the process may be of no use
		wanted = &pidfd
	}
	folder := cmp.Or(l.Folder, null)
	pid, err := executeSupervisor([]string{filepath.Base(os.Args[0]), shim.SuperviseCommand, l.Dir}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   withRaceOptions(supervisorEnv),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd(), theirs.Fd(), l.Lock.Fd(), folder.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: wanted},
	})
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	return watchChild(pid, pidfd), socket, nil
}

// executeSupervisor executes the small program that the build has embedded, or this
// binary where there is none or it may not be executed. Neither is looked for on disk,
// where it may have been replaced.
func executeSupervisor(argv []string, attr *syscall.ProcAttr) (int, error) {
	small, err := program.Embedded(attr.Files)
	if err == nil {
		defer small.Close()
		var pid int
		if pid, err = syscall.ForkExec(small.Path, argv, attr); err == nil {
			return pid, nil
		}
	}
	pid, again := syscall.ForkExec(program.Self, argv, attr)
	if again != nil && !errors.Is(err, program.ErrNone) {
		again = errors.Join(again, fmt.Errorf("the supervisor program: %w", err))
	}
	return pid, again
}

// supervisorEnv keeps a supervisor's Go runtime small: one processor, and a
// garbage collector that only runs near the limit, because each run touches
// pages that would otherwise never be this process's own.
var supervisorEnv = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=6MiB"}

// withRaceOptions hands on the race detector's options: without them each
// process of a race test sleeps for a second at its end.
func withRaceOptions(env []string) []string {
	if race := os.Getenv("GORACE"); race != "" {
		return append(slices.Clone(env), "GORACE="+race)
	}
	return env
}

func logPath(dir string) string { return filepath.Join(dir, durable.LogFile) }

// socketpair returns our end, which goes through Go's poller, and the end
// to inherit, which blocks.
func socketpair() (ours, theirs *os.File, err error) {
	a, b, err := shim.Socketpair()
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.SetNonblock(a, true); err != nil {
		syscall.Close(a)
		syscall.Close(b)
		return nil, nil, err
	}
	return os.NewFile(uintptr(a), "launch socket"), os.NewFile(uintptr(b), "launch socket"), nil
}

// userEnv sets who the user is, in place of what came from Nomad.
func userEnv(env []string, u User) []string {
	set := map[string]string{"HOME": u.Home, "USER": u.Name, "LOGNAME": u.Name}
	out := make([]string, 0, len(env)+len(set))
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		if set[key] == "" {
			out = append(out, kv)
		}
	}
	for _, key := range []string{"HOME", "LOGNAME", "USER"} {
		if set[key] != "" {
			out = append(out, key+"="+set[key])
		}
	}
	return out
}

// explain adds what a supervisor that died had to say.
func explain(err error, dir string) error {
	var failed *LaunchError
	if errors.As(err, &failed) || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	reason := "the supervisor ended before its time"
	if line := lastLine(logPath(dir)); line != "" {
		reason += ": " + line
	}
	return fmt.Errorf("%w (%w)", &LaunchError{reason}, err)
}

// lastLine returns the last line of a log, the end of a long one.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	const most = 400
	tail := make([]byte, most)
	n, _ := f.ReadAt(tail, max(0, info.Size()-most))
	line := strings.TrimSpace(string(tail[:n]))
	if i := strings.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	if line == "" {
		return ""
	}
	return strconv.Quote(line)
}
