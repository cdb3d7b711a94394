// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// State is what can be said of a task from outside.
type State int

const (
	// Launching: the lock is held, and there is no pid file yet.
	Launching State = iota
	// Running: the supervisor lives; the solver runs, or its end is being
	// dealt with.
	Running
	// Orphaned: the supervisor was killed and the solver lives on. Its exit
	// status will be unknown.
	Orphaned
	// Ended: neither lives.
	Ended
)

func (s State) String() string {
	names := [...]string{"launching", "running", "orphaned", "ended"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return names[s]
}

// Process is one task's supervisor and solver as seen from the plugin. Its
// methods may be called concurrently.
type Process struct {
	dir   string
	spec  *Spec          // nil when spec.json cannot be read
	known pidfile.Record // what the driver state remembers

	supervisor *watched // nil: not found, then the lock tells

	found struct { // what Open saw
		state  State
		record pidfile.Record
		err    error // of the record
	}

	done      chan struct{}
	stop      chan struct{}
	closeOnce sync.Once
	bind      sync.Mutex

	beside struct { // sessions of commands that run beside the solver
		sync.Mutex
		sessions []int
	}

	last struct { // the pid file as it was last read
		sync.Mutex
		data   []byte
		record pidfile.Record
		err    error
	}
}

func newProcess(dir string) *Process {
	return &Process{dir: dir, done: make(chan struct{}), stop: make(chan struct{})}
}

// Open finds the task of a record directory again, whoever started it, in
// whatever state it is. It fails only when the directory or its lock cannot be
// read.
func Open(dir string) (*Process, error) { return OpenKnown(dir, pidfile.Record{}) }

// OpenKnown is Open with what the driver state remembers of the pid file. It
// stands in for one that is gone or spoiled.
func OpenKnown(dir string, known pidfile.Record) (*Process, error) {
	p := newProcess(dir)
	p.known = known
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open task record: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open task record: %s is not a directory", dir)
	}
	held, err := durable.Held(lockPath(dir))
	if err != nil {
		return nil, fmt.Errorf("open task record: %w", err)
	}
	p.spec, _ = ReadSpec(dir)
	r, err := p.Record()
	held = held || known.SupervisorAlive(procfs.Root) // the lock may have been removed under it
	if held {
		p.supervisor, _ = watchProcess(r.Supervisor())
	}
	p.found.state, p.found.record, p.found.err = state(held, r, err), r, err
	go p.watch()
	return p, nil
}

// Found returns State and Record as they were when the task was opened: a plugin
// that restarts opens many and need not look twice.
func (p *Process) Found() (State, pidfile.Record, error) {
	return p.found.state, p.found.record, p.found.err
}

// Dir returns the record directory.
func (p *Process) Dir() string { return p.dir }

// Spec returns what the task was started with, or nil when spec.json cannot be
// read.
func (p *Process) Spec() *Spec { return p.spec }

// Record returns the pid file as it is now, completed by what OpenKnown was told.
// The errors are pidfile's: beside one that wraps pidfile.ErrNoCores the identity
// may be used.
func (p *Process) Record() (pidfile.Record, error) {
	r, err := p.readPIDFile()
	switch {
	case p.known.PID == 0:
		return r, err
	case err != nil && !errors.Is(err, pidfile.ErrNoCores), r.Contradicts(p.known):
		return p.known, nil // a file that names other processes is spoiled as a whole
	case err == nil && r.StartTime != 0:
		return r, nil
	}
	// A pid file that tells no identity may name any process; what is known of
	// this one counts more. Its cores count if it tells any.
	cores, extra := r.Cores, r.Extra
	r = p.known
	r.Cores, r.Extra = cores, extra
	return r, err
}

// readPIDFile is pidfile.Read that takes the same bytes apart once only: after a
// restart the plugin asks several times for each of its tasks, one after the other,
// and then every few seconds.
func (p *Process) readPIDFile() (pidfile.Record, error) {
	data, err := durable.ReadFile(pidPath(p.dir), pidfile.MaxBytes)
	if err != nil {
		return pidfile.Record{}, fmt.Errorf("read pid file: %w", err)
	}
	p.last.Lock()
	defer p.last.Unlock()
	if p.last.data == nil || !bytes.Equal(data, p.last.data) {
		p.last.data = data
		p.last.record, p.last.err = pidfile.Parse(data)
	}
	r := p.last.record
	r.Cores, r.Extra = slices.Clone(r.Cores), maps.Clone(r.Extra)
	if p.last.err != nil {
		return r, fmt.Errorf("read pid file %s: %w", pidPath(p.dir), p.last.err)
	}
	return r, nil
}

// Supervised tells at no cost whether the supervisor is known to live. If not, State
// finds out.
func (p *Process) Supervised() bool {
	if p.supervisor == nil {
		return false
	}
	select {
	case <-p.supervisor.end:
		return false
	default:
		return true
	}
}

// State looks at the lock, the processes and their identities.
func (p *Process) State() State {
	r, err := p.Record()
	held, lockErr := durable.Held(lockPath(p.dir))
	return state(lockErr == nil && held || p.known.SupervisorAlive(procfs.Root), r, err)
}

// state tells it from the supervisor, and from the pid file with its error.
func state(held bool, r pidfile.Record, err error) State {
	switch {
	case held && err != nil && !errors.Is(err, pidfile.ErrNoCores):
		return Launching
	case held:
		return Running
	case r.Alive(procfs.Root):
		return Orphaned
	}
	return Ended
}

// Done is closed when nothing more will come: the supervisor has ended and, if it
// was killed before it could say how the solver ended, so has the solver. No
// thread waits for it.
func (p *Process) Done() <-chan struct{} { return p.done }

// watch closes done in time.
func (p *Process) watch() {
	if !p.supervisorEnded() {
		return
	}
	if _, err := p.readExit(); err != nil && !p.solverEnded() {
		return
	}
	close(p.done)
}

// supervisorEnded waits, and is false when watching was stopped. A lock without
// a known holder is a launch between two plugins, or a spoiled pid file: then it
// is the lock that is looked at.
func (p *Process) supervisorEnded() bool {
	if p.supervisor != nil {
		select {
		case <-p.supervisor.end:
			return true
		case <-p.stop:
			return false
		}
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, pollEvery) {
		if held, err := durable.Held(lockPath(p.dir)); err == nil && !held {
			return true
		}
		select {
		case <-p.stop:
			return false
		case <-time.After(pause):
		}
	}
}

// solverEnded waits for the solver of a supervisor that was killed.
func (p *Process) solverEnded() bool {
	r, _ := p.Record()
	w, alive := watchProcess(r.Solver())
	if !alive {
		return true
	}
	defer w.close()
	select {
	case <-w.end:
		return true
	case <-p.stop:
		return false
	}
}

// Wait waits for Done and returns the exit record, or an error wrapping
// ErrExitUnknown (and ErrRebooted) when the supervisor was killed or the machine
// restarted; then processes that the solver left behind may still live, see
// Tree.Kill. Many may wait.
func (p *Process) Wait(ctx context.Context) (ExitRecord, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return ExitRecord{}, ctx.Err()
	}
	exit, err := p.readExit()
	if err == nil {
		return exit, nil
	}
	r, _ := p.Record()
	if boot, e := procfs.BootID(procfs.Root); e == nil && r.BootID != "" && r.BootID != boot {
		return ExitRecord{Code: -1}, fmt.Errorf("%w: %w", ErrExitUnknown, ErrRebooted)
	}
	return ExitRecord{Code: -1}, fmt.Errorf("%w: the supervisor was killed before the solver ended: %w", ErrExitUnknown, err)
}

// readExit is ReadExit for the process that OpenKnown was told, where it was told one.
func (p *Process) readExit() (ExitRecord, error) {
	if p.known.PID == 0 {
		return ReadExit(p.dir)
	}
	return readExitOf(p.dir, p.known)
}

// Tree returns the task's processes as they can be found now.
func (p *Process) Tree() (*Tree, error) {
	if p.spec == nil {
		_, err := ReadSpec(p.dir)
		return nil, fmt.Errorf("find the task's processes: %w", err)
	}
	r, _ := p.Record()
	t := &Tree{cgroups: p.spec.Cgroups, list: proctree.Tree{
		ProcRoot: procfs.Root,
		Cgroup:   p.spec.Cgroups.Processes(),
		V2:       p.spec.Cgroups.Mode == CgroupV2,
		Session:  p.spec.Cgroups.Mode == CgroupNone,
	}}
	boot, err := procfs.BootID(procfs.Root)
	if err != nil {
		return nil, err
	}
	if r.BootID == boot && r.StartTime != 0 {
		t.list.Main, t.list.MainStart = r.PID, r.StartTime
	}
	if t.list.Cgroup == "" {
		t.list.Sessions = p.besides()
		if r.SupervisorAlive(procfs.Root) {
			t.list.Parent = r.SupervisorPID
		}
	}
	return t, nil
}

// Bind writes the CPUs to the pid file first, which is what counts after a crash,
// and then moves every thread of the task. When it fails, the pid file says
// what it said before.
func (p *Process) Bind(cpus cpuset.Set) error {
	return p.place(cpus.Slice(), func(t *Tree) error { return t.Bind(cpus) })
}

// Confine keeps the task on some CPUs that are not its own (see Tree.Confine): the
// pid file tells none.
func (p *Process) Confine(was, cpus cpuset.Set) error {
	return p.place([]int{}, func(t *Tree) error { return t.Confine(was, cpus) })
}

func (p *Process) place(cores []int, do func(*Tree) error) error {
	p.bind.Lock()
	defer p.bind.Unlock()
	old, err := p.Record()
	if err != nil && !errors.Is(err, pidfile.ErrNoCores) {
		return fmt.Errorf("move task: %w", err)
	}
	t, err := p.Tree()
	if err != nil {
		return fmt.Errorf("move task: %w", err)
	}
	moved := old
	moved.Cores = cores
	if err := p.writePIDFile(moved); err != nil {
		return fmt.Errorf("move task: %w", err)
	}
	if err := do(t); err != nil {
		return errors.Join(fmt.Errorf("move task: %w", err), p.writePIDFile(old))
	}
	return nil
}

// writePIDFile writes the pid file unless it says so already: a write waits for
// the disk, and after a restart each task may be bound to what it had.
func (p *Process) writePIDFile(r pidfile.Record) error {
	want, err := r.Encode()
	if err != nil {
		return err
	}
	is, err := durable.ReadFile(pidPath(p.dir), pidfile.MaxBytes)
	if err == nil && bytes.Equal(is, want) {
		return nil
	}
	return pidfile.Write(pidPath(p.dir), r)
}

// Close stops watching. It ends no process. A child that ends afterwards is not
// waited for.
func (p *Process) Close() {
	p.closeOnce.Do(func() {
		close(p.stop)
		if p.supervisor != nil && !p.supervisor.child {
			p.supervisor.close()
		}
	})
}
