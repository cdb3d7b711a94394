// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// drainPatience is how long a supervisor may take to end once nothing of its task is
// left: it copies the rest of the log. Later it hangs, as on the descriptors of a
// dead file server, which the kernel closes at a process's end. A variable for tests.
var drainPatience = shim.LongestDrain + 5*time.Second

// watch is the state of the goroutine that finds out when a task is over. Process.
// Close ends it and waits for it.
type watch struct {
	gone, done chan struct{}
	goneAt     time.Time // the goroutine's own

	stop     chan struct{}
	stopOnce sync.Once
	ended    chan struct{} // closed when the goroutine has ended
}

func newWatch() watch {
	return watch{
		gone: make(chan struct{}), done: make(chan struct{}), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// Gone is closed as soon as the solver's end is on record and no process of the task
// is left. From then on the supervisor only copies the rest of the log. It is not
// closed where the supervisor was killed: there Done is, and what is left is to be
// ended with Tree.Kill.
func (p *Process) Gone() <-chan struct{} { return p.watch.gone }

// Done is closed when nothing more will come: the supervisor has ended and, if it
// was killed before it could say how the solver ended, so has the solver. A
// supervisor that hangs although nothing is left to do is not waited for. No thread
// waits meanwhile.
func (p *Process) Done() <-chan struct{} { return p.watch.done }

// watchEnd closes gone and done in time.
func (p *Process) watchEnd() {
	defer close(p.watch.ended)
	if !p.awaitSupervisor() {
		return
	}
	if _, err := p.readExit(); err != nil && !p.awaitSolver() {
		return
	}
	close(p.watch.done)
}

// awaitSupervisor waits until the supervisor has ended, or should have. It returns
// false when watching was stopped.
func (p *Process) awaitSupervisor() bool {
	supervisor := p.supervisorEnd() // nil: not known who, then its lock is looked at
	solver, release := p.solverEnd()
	defer release()
	look := time.NewTimer(0) // at what no descriptor tells of
	defer look.Stop()
	over := false // the solver
	for pause := time.Millisecond; ; pause = min(2*pause, pollEvery) {
		select {
		case <-p.watch.stop:
			return false
		case <-supervisor:
			p.lookWhetherGone()
			return true
		case <-solver:
			solver, over, pause = nil, true, time.Millisecond
		case <-look.C:
		}
		if supervisor == nil && p.unlocked() {
			supervisor = closed
		}
		if over && p.lookWhetherGone() > 0 && p.supervisorHangs() {
			return true
		}
		if supervisor == nil || over {
			look.Reset(pause)
		}
	}
}

// lookWhetherGone closes gone when the solver's end is on record and no process is
// left, and returns how long ago that was found.
func (p *Process) lookWhetherGone() time.Duration {
	w := &p.watch
	if w.goneAt.IsZero() && p.isGone() {
		w.goneAt = time.Now()
		close(w.gone)
	}
	if w.goneAt.IsZero() {
		return 0
	}
	return time.Since(w.goneAt)
}

// supervisorHangs reports whether a supervisor with nothing left to do is not to be
// waited for any more: it had its time, or it is ending, but a thread of it waits.
func (p *Process) supervisorHangs() bool {
	r, _ := p.Record()
	return p.lookWhetherGone() >= drainPatience || r.Supervisor().Known() && !r.SupervisorAlive(procfs.Root)
}

// closed is the end of what has ended before anybody could watch it.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// supervisorEnd returns what is closed at the supervisor's end; nil where it is not
// known who it is: a launch between two plugins, or a damaged pid file.
func (p *Process) supervisorEnd() <-chan struct{} {
	if p.supervisor == nil {
		return nil
	}
	return p.supervisor.end
}

func (p *Process) unlocked() bool {
	held, err := p.held()
	return err == nil && !held
}

// solverEnd returns what is closed at the solver's end; nil where it is not known
// who it is.
func (p *Process) solverEnd() (end <-chan struct{}, release func()) {
	r, _ := p.Record()
	if !r.Solver().Known() {
		return nil, func() {}
	}
	w, alive := watchProcess(r.Solver())
	if !alive {
		return closed, func() {}
	}
	return w.end, w.close
}

// isGone reports whether the solver's end is on record and no process is left.
func (p *Process) isGone() bool {
	if _, err := p.readExit(); err != nil {
		return false
	}
	t, err := p.Tree()
	if err != nil {
		return false
	}
	pids, err := t.PIDs()
	return err == nil && len(pids) == 0
}

// awaitSolver waits for the solver of a supervisor that was killed. It returns false
// when watching was stopped.
func (p *Process) awaitSolver() bool {
	end, release := p.solverEnd()
	defer release()
	if end == nil {
		return true
	}
	select {
	case <-end:
		return true
	case <-p.watch.stop:
		return false
	}
}

// Wait waits for Done and returns the exit record, or an error wrapping
// ErrExitUnknown (and ErrRebooted) when the supervisor was killed or the machine
// restarted; then processes that the solver left behind may still live, see
// Tree.Kill. Many may wait.
func (p *Process) Wait(ctx context.Context) (ExitRecord, error) {
	select {
	case <-p.Done():
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
	if p.dir == "" {
		return ExitRecord{Code: -1}, fmt.Errorf("%w: %w", ErrExitUnknown, errNoRecord)
	}
	return ExitRecord{Code: -1}, fmt.Errorf("%w: the supervisor was killed before the solver ended: %w", ErrExitUnknown, err)
}

// readExit is ReadExit for the process that OpenKnown was told, where it was told one.
func (p *Process) readExit() (ExitRecord, error) {
	if p.dir == "" {
		return ExitRecord{}, fmt.Errorf("%w: %w", ErrNoExit, errNoRecord)
	}
	if p.known.PID == 0 {
		return ReadExit(p.dir)
	}
	return ReadExitOf(p.dir, p.known)
}

// Close stops watching. It ends no process. A child that ends afterwards is not
// waited for.
func (p *Process) Close() {
	p.watch.stopOnce.Do(func() {
		close(p.watch.stop)
		if p.supervisor != nil && !p.supervisor.child {
			p.supervisor.close()
		}
	})
	<-p.watch.ended
}
