// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/openfiles"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

// PlaceWord is what stands in the arguments of a forked child, a copy of its supervisor,
// in the place of SuperviseCommand until it executes the solver. It is as long.
const PlaceWord = "launching"

// startPlace starts the process that becomes the solver: a fork of this one, or where it
// is asked for or there is no other way, a stage, which is executed. Either is in its
// own session, outside every terminal, and with cgroup v2 born inside the task's cgroup.
func (s *supervisor) startPlace(o *StageOrder, control int, execute bool) error {
	start := func(cgroup int, join []string) (int, error) {
		o.Join = join
		return s.fork(o, control, cgroup)
	}
	if execute || !rawcall.Forks {
		start = func(cgroup int, join []string) (int, error) {
			o.Join = join
			return executeStage(control, cgroup)
		}
	}
	pid, err := s.spec.Cgroups.startInside(start)
	if err == nil {
		s.record.PID = pid
	}
	return err
}

// startInside has a process start inside its cgroup, where there is one for all, or else
// join its cgroups by itself: where the kernel cannot do that (before 5.7), or a seccomp
// profile forbids it, and with v1.
func (c *Cgroups) startInside(start func(cgroup int, join []string) (pid int, err error)) (int, error) {
	if c.Mode == CgroupV2 {
		dir, err := syscall.Open(c.Join[0], syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("open cgroup %s: %w", c.Join[0], err)
		}
		defer syscall.Close(dir)
		pid, err := start(dir, nil)
		if err == nil {
			return pid, nil
		}
		if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.E2BIG) {
			return 0, fmt.Errorf("start in cgroup %s: %w", c.Join[0], err)
		}
	}
	return start(-1, c.Join)
}

// executeStage executes this program once more, as a stage.
func executeStage(control, cgroup int) (int, error) {
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOGC=off"},
		Files: []uintptr{0, 1, 2, uintptr(control)},
		Sys:   &syscall.SysProcAttr{Setsid: true, UseCgroupFD: cgroup >= 0, CgroupFD: max(cgroup, 0)},
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"stage", StageCommand}, attr)
	if err != nil {
		return 0, fmt.Errorf("execute launch stage: %w", err)
	}
	return pid, nil
}

// fork forks a child that does what the order says. It never is Go's again, see package
// rawcall, and holds nothing of this process's that tells of its end: neither the locks
// nor the other ends of the sockets.
func (s *supervisor) fork(o *StageOrder, control, cgroup int) (int, error) {
	l := &rawcall.List{}
	l.Call("leave the supervisor's session", syscall.SYS_SETSID)
	for _, fd := range []int{LockFD, FolderFD, s.plugin.fd, s.place.fd} {
		l.Call("close what is the supervisor's", syscall.SYS_CLOSE, uintptr(fd)).MayFail()
	}
	if err := o.plan(l, control); err != nil {
		return 0, err
	}
	if err := restoreFileLimit(l); err != nil {
		return 0, err
	}
	l.Call("execute "+o.Argv[0], syscall.SYS_EXECVE, l.String(o.Argv[0]), l.Strings(o.Argv), l.Strings(o.Env))
	child := rawcall.Child{List: l, Cgroup: cgroup, Control: control}
	child.Failure, child.Step, child.Errno = failureReport()
	if len(os.Args) > 1 && len(os.Args[1]) == len(PlaceWord) {
		child.Argument, child.Word = rawcall.ArgumentOf(os.Args[1]), []byte(PlaceWord)
	}
	pid, err := child.Start()
	if err != nil {
		return 0, fmt.Errorf("fork the solver's process: %w", err)
	}
	s.list = l
	return pid, nil
}

// failureReport returns a StageReport as a message, and where in it its numbers are to
// be filled in.
func failureReport() (message []byte, step, errno int) {
	const start, between, end = `{"step":`, `,"errno":`, `}`
	number := strings.Repeat(" ", rawcall.NumberWidth)
	body := start + number + between + number + end
	message = append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	step = len(message) - len(body) + len(start)
	return message, step, step + len(number) + len(between)
}

// restoreFileLimit puts back the limit of open files that Go has raised for itself.
func restoreFileLimit(l *rawcall.List) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if openfiles.Soft != 0 && openfiles.Soft != now.Cur {
		setLimit(l, "put back the limit of open files", syscall.RLIMIT_NOFILE, syscall.Rlimit{Cur: openfiles.Soft, Max: now.Max})
	}
	return nil
}

// failed returns why a place gave up.
func (s *supervisor) failed(r StageReport) error {
	if r.Error != "" || s.list == nil {
		return errors.New(r.Error)
	}
	return s.list.Explain(s.record.PID, r.Step, r.Errno)
}

func placeFailed(err error) error {
	return fmt.Errorf("launch stage: it ended before its time: %w", err)
}
