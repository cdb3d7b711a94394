// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// errCalledOff: the plugin went away, or said no, before the solver was due.
var errCalledOff = errors.New("launch: called off before the solver was executed")

// supervisor is the parent of one solver.
type supervisor struct {
	dir    string
	plugin *conn
	spec   *Spec

	place  *conn          // to the process that becomes the solver
	list   *rawcall.List  // what it does, where it is forked
	record pidfile.Record // the solver
	reaped bool           // the solver was waited for, by whoever saw it end
	oom    uint64         // OOM kills before the launch
	logs   *logCopier
}

func superviseMain(dir string) int {
	plugin, ok := inherited(SuperviseCommand)
	if !ok {
		return refused
	}
	syscall.CloseOnExec(LockFD)
	syscall.CloseOnExec(FolderFD)
	syscall.Umask(0o077)
	s := &supervisor{dir: dir, plugin: plugin}
	defer s.leaveFolder() // after the record's lock: a folder that hangs holds up nobody
	defer releaseLock()
	err := s.prepare()
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		s.abortLaunch(err)
		return 1
	}
	s.waitSolver()
	return 0
}

// releaseLock gives the record's lock back, once no process of the task is left. The
// end of this process would do it, too, but may be late: the kernel ends none whose
// thread waits for a dead file server.
func releaseLock() { syscall.Close(LockFD) }

// leavePatience is how long the run folder may take to answer when the run is over.
const leavePatience = time.Second

// leaveFolder marks the run's end in the run folder's lock file and gives its lock
// back, also where the launch was called off: no process of the run is left. A node that finds the lock free learns from the mark that the run is over, even
// if no plugin was here to say so. The file system is waited for by a thread that ends
// with the process.
func (s *supervisor) leaveFolder() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.spec != nil { // nobody but the spec tells which run it was
			mark := []byte(durable.EndMark(s.spec.TaskID))
			if _, err := syscall.Pwrite(FolderFD, mark, 0); err == nil {
				_ = syscall.Ftruncate(FolderFD, int64(len(mark)))
			}
		}
		syscall.Close(FolderFD)
	}()
	select {
	case <-done:
	case <-time.After(leavePatience):
	}
}

// prepare makes this process what a supervisor has to be.
func (s *supervisor) prepare() error {
	ignoreSignals()
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := becomeSubreaper(); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	spec, err := ReadSpec(s.dir)
	if err != nil {
		return err
	}
	s.spec = spec
	return nil
}

// launch takes the solver to its start. Until the plugin says go, the
// plugin's end is the launch's end; from then on only a failure is.
func (s *supervisor) launch() error {
	var first Order
	if err := s.plugin.receive(&first); err != nil {
		return errCalledOff
	}
	if err := setUpCgroup(s.spec); err != nil {
		return err
	}
	s.oom = oomKills(s.spec)
	s.logs = newLogCopier(s.spec)
	files, err := s.preparePlace(first)
	if err != nil {
		return err
	}
	s.logs.take(files)
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.plugin.send(Report{Ready: true, PID: s.record.PID}); err != nil {
		return errCalledOff
	}
	var last Order
	if err := s.plugin.receive(&last); err != nil || !last.Go {
		return errCalledOff
	}
	if err := pidfile.Write(s.dir+"/pid", s.record); err != nil {
		return err
	}
	if err := s.release(); err != nil {
		return err
	}
	_ = s.plugin.send(Report{Started: true, PID: s.record.PID}) // nobody listens: nothing lost
	s.plugin.Close()
	return nil
}

// preparePlace starts the process that becomes the solver, and waits until it has set
// everything. The plugin going away meanwhile kills it: it may hang on a dead
// file server, and nobody would care for it any more.
func (s *supervisor) preparePlace(first Order) ([]int, error) {
	ours, theirs, err := Socketpair()
	if err != nil {
		return nil, err
	}
	s.place = &conn{ours}
	order := &StageOrder{
		Argv: append([]string{s.spec.Command}, s.spec.Args...), Env: first.Env,
		Dir: s.spec.Dir, User: s.spec.User, CPUs: s.spec.CPUs, Memory: s.spec.Memory,
		THP: first.THP, AllowSetuid: s.spec.AllowSetuid, Stdout: s.spec.StdoutName, Stderr: s.spec.StderrName,
	}
	err = s.startPlace(order, theirs, first.Stage)
	syscall.Close(theirs)
	if err != nil {
		return nil, err
	}
	stop := s.watchPlugin()
	defer stop()
	if s.list == nil { // a stage, which has no copy of the order
		if err := s.place.send(order); err != nil {
			return nil, placeFailed(err)
		}
	}
	var report StageReport
	if err := s.place.receive(&report); err != nil {
		return nil, placeFailed(err)
	}
	if !report.Ready {
		return nil, s.failed(report)
	}
	return s.place.receiveFiles(outputs(order.Stdout, order.Stderr))
}

// watchPlugin kills the place when the plugin's end of the socket closes.
func (s *supervisor) watchPlugin() (stop func()) {
	wake := [2]int{-1, -1}
	if syscall.Pipe2(wake[:], syscall.O_CLOEXEC) != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if waitHangup(s.plugin.fd, wake[0]) == s.plugin.fd {
			syscall.Kill(s.record.PID, syscall.SIGKILL) //nolint:forbidigo // ours, and not waited for yet
		}
	}()
	return func() {
		syscall.Close(wake[1])
		<-done
		syscall.Close(wake[0])
	}
}

// identify completes the record that becomes the pid file.
func (s *supervisor) identify() error {
	boot, err := procfs.BootID(procfs.Root)
	if err != nil {
		return err
	}
	started, err := procfs.StartTicks(procfs.Root, s.record.PID)
	if err != nil {
		return err
	}
	own, err := procfs.StartTicks(procfs.Root, os.Getpid())
	if err != nil {
		return err
	}
	s.record = pidfile.Record{
		PID: s.record.PID, Cores: append([]int{}, s.spec.CPUs...), StartTime: started, BootID: boot,
		SupervisorPID: os.Getpid(), SupervisorStartTime: own,
	}
	return nil
}

// release lets the place execute the solver. The exec closes the socket.
func (s *supervisor) release() error {
	if err := s.place.send(Order{Go: true}); err != nil {
		return placeFailed(err)
	}
	var report StageReport
	if err := s.place.receive(&report); err == nil {
		return s.failed(report)
	}
	s.place.Close()
	s.place, s.list = nil, nil // the environment may be large
	return nil
}

// abortLaunch ends a failed launch: no process stays, and the reason is on record
// before the plugin hears of it.
func (s *supervisor) abortLaunch(reason error) {
	fmt.Fprintln(os.Stderr, stamp(), reason)
	if s.record.PID != 0 {
		syscall.Kill(s.record.PID, syscall.SIGKILL) //nolint:forbidigo // ours, and not waited for yet
		s.endLeftovers()
	}
	s.removePids()
	record := ExitRecord{Code: -1, LaunchError: reason.Error()}
	if s.record.BootID != "" {
		record.PID = s.record.PID
	}
	s.writeExit(record)
	_ = s.plugin.send(Report{Error: reason.Error()})
}

// waitSolver waits for the solver, records its end at once, and then cleans up.
func (s *supervisor) waitSolver() {
	s.logs.start()
	for !s.reaped {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		if err == syscall.EINTR || err == nil && pid != s.record.PID {
			continue
		}
		if err != nil {
			// Cannot be: our child is waited for here alone. Say nothing
			// rather than something false; the plugin then reports "unknown".
			fmt.Fprintln(os.Stderr, stamp(), "wait for the solver:", err)
			break
		}
		s.reaped = true
		s.writeExit(exitOf(status, usage, oomKills(s.spec) > s.oom))
	}
	s.endLeftovers()
	s.removePids()
	s.logs.finish()
}

func exitOf(status syscall.WaitStatus, usage syscall.Rusage, oom bool) ExitRecord {
	r := ExitRecord{
		Code: status.ExitStatus(), OOMKilled: oom,
		Rusage: Rusage{
			UserTime:    time.Duration(usage.Utime.Nano()),
			SystemTime:  time.Duration(usage.Stime.Nano()),
			MaxRSSBytes: usage.Maxrss * 1024,
		},
	}
	if status.Signaled() {
		r.Signal = int(status.Signal())
		r.Code = 128 + r.Signal
		r.CoreDumped = status.CoreDump()
	}
	return r
}

func (s *supervisor) writeExit(r ExitRecord) {
	r.Version = ExitVersion
	if s.spec != nil {
		r.TaskID = s.spec.TaskID
	}
	if r.PID != 0 || r.LaunchError == "" {
		r.PID, r.StartTime = s.record.PID, s.record.StartTime
	}
	r.BootID = s.record.BootID
	if r.BootID == "" {
		r.BootID, _ = procfs.BootID(procfs.Root)
	}
	r.FinishedAt = time.Now().UTC()
	// A full disk may have room again in a moment, and the status is known
	// nowhere else. But the cores must come back some time.
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		err := writeExit(s.dir, r)
		if err == nil {
			return
		}
		fmt.Fprintln(os.Stderr, stamp(), err)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || pause > time.Minute {
			return
		}
		time.Sleep(pause)
	}
}

// endLeftovers kills what the solver left behind and returns when nothing is
// left: in the cgroup, nor among our own descendants. A process that the kernel
// cannot end keeps us, and with us the task's cores, until it can.
func (s *supervisor) endLeftovers() {
	family := &proctree.Tree{ProcRoot: procfs.Root, Parent: os.Getpid()}
	group := &proctree.Tree{ProcRoot: procfs.Root, Cgroup: s.cgroupDir(), V2: s.spec.Cgroups.Mode == CgroupV2}
	said := ""
	_ = proctree.Repeat(nil, func() (empty bool, err error) {
		empty, err = group.KillOnce()
		if !reapAll() {
			// A search through all of /proc, where the cgroup has none or
			// somebody left it.
			_, e := family.KillOnce()
			err = errors.Join(err, e)
			empty = false
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			fmt.Fprintln(os.Stderr, stamp(), "end the task's processes:", err)
		}
		return empty, err
	})
}

// removePids removes the cgroup that this process has made. Where it cannot, the
// plugin or reap does later.
func (s *supervisor) removePids() {
	if s.spec == nil {
		return
	}
	if err := s.spec.Cgroups.RemovePids(); err != nil {
		fmt.Fprintln(os.Stderr, stamp(), err)
	}
}

func (s *supervisor) cgroupDir() string {
	if s.spec == nil {
		return ""
	}
	return s.spec.Cgroups.Processes()
}

// reapAll waits for every child that has ended and reports whether there are
// no others.
func reapAll() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.ECHILD:
			return true
		case err == syscall.EINTR, pid > 0:
		default:
			return false
		}
	}
}

func stamp() string { return time.Now().UTC().Format(time.RFC3339Nano) }
