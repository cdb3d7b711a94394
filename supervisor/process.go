// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// State is what can be said of a task from outside.
type State int

const (
	// Launching means that the lock is held, and there is no pid file yet.
	Launching State = iota
	// Running means that the supervisor lives; the solver runs, or its end is
	// being dealt with (see Gone).
	Running
	// Orphaned means that the supervisor was killed and the solver lives on. Its
	// exit status will be unknown.
	Orphaned
	// Ended means that neither lives.
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
	dir   string         // "": its record cannot be used, see Watch
	spec  *Spec          // nil when spec.json cannot be read
	known pidfile.Record // what the driver state remembers

	supervisor *watched // nil: not found, then the lock is looked at

	found struct { // what Open saw
		state  State
		record pidfile.Record
		err    error // of the record
	}

	watch  watch      // the goroutine that finds out when it is over
	bind   sync.Mutex // held while the pid file and the threads change together
	file   pidFile
	beside sessions
}

func newProcess(dir string) *Process {
	return &Process{dir: dir, file: pidFile{path: pidPath(dir)}, watch: newWatch()}
}

// Open finds the task of a record directory again, whoever started it, in
// whatever state it is. It fails only when the directory or its lock cannot be
// read.
func Open(dir string) (*Process, error) { return OpenKnown(dir, pidfile.Record{}) }

// OpenKnown is Open with what the driver state remembers of the pid file. It
// stands in for one that is gone or damaged.
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
	go p.watchEnd()
	return p, nil
}

// Watch finds a task by what the driver state remembers of its processes, where its
// record cannot be used: nothing there is read or written. spec names its cgroups and
// its user. How the task ended cannot be told so, and nothing can be moved.
func Watch(spec *Spec, known pidfile.Record) *Process {
	p := newProcess("")
	p.spec, p.known = spec, known
	held := known.SupervisorAlive(procfs.Root)
	if held {
		p.supervisor, _ = watchProcess(known.Supervisor())
	}
	p.found.state, p.found.record = state(held, known, nil), known
	go p.watchEnd()
	return p
}

// errNoRecord is an error of what needs the record of a Process that Watch returned.
var errNoRecord = errors.New("the run's record cannot be used")

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
	if p.dir == "" {
		return p.known, nil
	}
	r, err := p.file.read()
	switch {
	case p.known.PID == 0:
		return r, err
	case err != nil && !errors.Is(err, pidfile.ErrNoCores), r.Contradicts(p.known):
		return p.known, nil // a file that names other processes is not used at all
	case err == nil && r.StartTime != 0:
		return r, nil
	}
	// A pid file without an identity may name any process; what is known of this
	// one counts more. Its cores count if it has any.
	cores, extra := r.Cores, r.Extra
	r = p.known
	r.Cores, r.Extra = cores, extra
	return r, err
}

// Supervised reports at no cost whether the supervisor is known to live. If not, State
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
	held, lockErr := p.held()
	return state(lockErr == nil && held || p.known.SupervisorAlive(procfs.Root), r, err)
}

// held reports whether somebody holds the record's lock.
func (p *Process) held() (bool, error) {
	if p.dir == "" {
		return p.known.SupervisorAlive(procfs.Root), nil
	}
	return durable.Held(lockPath(p.dir))
}

// state derives it from the supervisor, and from the pid file with its error.
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
		t.list.Sessions = p.beside.list()
		if r.SupervisorAlive(procfs.Root) {
			t.list.Parent = r.SupervisorPID
		}
	}
	return t, nil
}

// Look is one look at all processes of the machine, which those who look at several
// tasks share. The zero value is ready for use.
type Look = proctree.Shared

// TreeIn is Tree to look at, not to act on: without cgroups it shows the processes as
// they were at that look.
func (p *Process) TreeIn(look *Look) (*Tree, error) {
	t, err := p.Tree()
	if err != nil || t.list.Cgroup != "" {
		return t, err
	}
	t.list.Scan, err = look.Get(t.list.ProcRoot)
	return t, err
}

// Bind writes the CPUs to the pid file first, which is what counts after a crash,
// and then moves every thread of the task. When it fails, the pid file says
// what it said before.
func (p *Process) Bind(cpus cpuset.Set) error {
	return p.place(cpus.Slice(), func(t *Tree) error { return t.Bind(cpus) })
}

// Confine keeps the task on some CPUs that are not its own (see Tree.Confine): the
// pid file has none.
func (p *Process) Confine(was, cpus cpuset.Set) error {
	return p.place([]int{}, func(t *Tree) error { return t.Confine(was, cpus) })
}

func (p *Process) place(cores []int, do func(*Tree) error) error {
	if p.dir == "" {
		return fmt.Errorf("move task: %w", errNoRecord)
	}
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
	if err := p.file.write(moved); err != nil {
		return fmt.Errorf("move task: %w", err)
	}
	if err := do(t); err != nil {
		return errors.Join(fmt.Errorf("move task: %w", err), p.file.write(old))
	}
	return nil
}
