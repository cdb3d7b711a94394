// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// task is one run of a solver as the driver knows it, from its start or its
// recovery until Nomad destroys it.
type task struct {
	id      state.ID
	details state.Details
	logger  hclog.Logger
	events  *events
	cores   *cores

	record *state.Record
	spec   *supervisor.Spec // nil when the record has none
	folder *rundir.Folder   // nil when the run folder cannot be opened
	follow *rundir.Follower // nil without a folder

	done chan struct{}     // closed when the result is final
	env  map[string]string // what Nomad gave the task; set before the task is handed to Nomad

	mu          sync.Mutex
	proc        *supervisor.Process
	claimed     bool // Nomad knows this task: it started or recovered it
	pid         int
	born        pidfile.Record // its process, for beganAt
	began       time.Time      // see beganAt
	cpus        []int          // what the solver is bound to; empty: runs without affinity
	snapshot    output.Snapshot
	orphaned    bool
	stopping    bool               // on request
	stopUntil   time.Time          // when a stop that was begun kills everything
	yieldStop   context.CancelFunc // ends a stop that was taken up from an earlier plugin; nil for none
	unlicensed  bool               // said that it waits for a licence
	endReason   string             // why the driver itself ended the run, "" if it did not
	endKind     output.Kind
	res         *drivers.ExitResult
	outcome     output.Outcome
	exited      output.Exit // what is known of the end; with outcome
	completedAt time.Time

	stopMu   sync.Mutex // one stop at a time
	followMu sync.Mutex // guards follow, folder and what follows here; taken before mu

	folderClosed bool
	sent         *sentSwitch // the last sense switch, nil for none

	recovered             bool // another plugin started it
	delayKnown, delaySaid bool // of the time a switch takes; for run alone

	placing  sync.Mutex // one change of where the task runs at a time; taken before mu
	roams    cpuset.Set // where a task without a lease is kept, empty: everywhere; guarded by placing
	confined bool       // roams has been applied; guarded by placing
	released bool       // the cores were given back; guarded by placing
	drift    driftWatch // guarded by placing

	memory    sync.Mutex   // one move of memory at a time
	following atomic.Int32 // moves of memory that are not over

	abandon context.CancelFunc // ends run; set for adopted tasks only
	watched chan struct{}      // closed when run has returned; as abandon

	unbind atomic.Bool // its affinity is to be lifted soon: the pid file says that it has none
}

// pollInterval is how often the outputs of a run are looked at.
const pollInterval = 2 * time.Second

// run watches the task until it is over, or until the driver ends: then its
// successor finds the task in the records.
func (t *task) run(driver context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-t.process().Done():
			t.finish()
			return
		case <-driver.Done():
			t.process().Close()
			t.closeFolder()
			return
		case <-ticker.C:
			if t.unbind.Swap(false) {
				t.stayUnbound()
			}
			t.checkSwitchDelay(t.poll())
			t.checkSupervisor()
			t.checkLicence()
			t.checkStart()
		}
	}
}

// poll reads what the solver has written since.
func (t *task) poll() output.Snapshot {
	if t.follow == nil {
		return output.Snapshot{}
	}
	t.followMu.Lock()
	defer t.followMu.Unlock()
	if t.folderClosed {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.snapshot
	}
	s, err := t.follow.Poll()
	if err != nil {
		t.logger.Debug("cannot read the solver's outputs", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snapshot = s
	return s
}

// checkSupervisor notices that the supervisor was killed under a live solver.
func (t *task) checkSupervisor() {
	t.mu.Lock()
	known := t.orphaned
	t.mu.Unlock()
	if known || t.process().Supervised() || t.process().State() != supervisor.Orphaned {
		return
	}
	t.mu.Lock()
	t.orphaned = true
	t.mu.Unlock()
	t.say("The solver's supervisor was killed; the solver runs on, but its exit status will not be known")
}

// checkStart ends a solver that does not get going within start_timeout: one
// that waits for a licence can wait for ever.
func (t *task) checkStart() {
	if t.details.StartTimeout <= 0 {
		return
	}
	t.mu.Lock()
	s, over := t.snapshot, t.stopping || t.endReason != ""
	going := s.LicenceGranted || s.HasTime || s.Phase != output.PhaseStarting && s.Phase != output.PhaseLicence
	if over || t.follow == nil || going || time.Since(t.beganAt()) < t.details.StartTimeout {
		t.mu.Unlock()
		return
	}
	t.endKind = output.LicenceError
	t.endReason = fmt.Sprintf("no licence and no start on the deck within start_timeout %s", t.details.StartTimeout)
	if s.LicenceTrouble != "" {
		t.endReason += ": " + s.LicenceTrouble
	}
	reason := t.endReason
	t.mu.Unlock()
	t.say("Ending the solver: " + reason)
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if err := t.kill(ctx); err != nil {
		t.logger.Error("cannot end the solver", "error", err)
	}
}

// errNoFolder means that the run folder cannot be reached through the task.
var errNoFolder = errors.New("the run folder cannot be opened, or the run has ended")

// inFolder does something in the run folder while nobody closes it.
func (t *task) inFolder(do func(*rundir.Folder) error) error {
	t.followMu.Lock()
	defer t.followMu.Unlock()
	if t.folder == nil || t.folderClosed {
		return errNoFolder
	}
	return do(t.folder)
}

func (t *task) closeFolder() {
	t.followMu.Lock()
	defer t.followMu.Unlock()
	if t.folder != nil && !t.folderClosed {
		_ = t.folder.Close()
	}
	t.folderClosed = true
}

// kill ends every process of the task at once and waits until it is over. A
// solver that is just being launched shows up a moment later, so it looks again.
func (t *task) kill(ctx context.Context) error {
	if t.isOver() {
		return nil
	}
	const pause = 100 * time.Millisecond
	for {
		tree, err := t.process().Tree()
		if err != nil {
			return fmt.Errorf("find the task's processes: %w", err)
		}
		if err := tree.Kill(ctx); err != nil {
			return fmt.Errorf("end the task's processes: %w", err)
		}
		select {
		case <-t.process().Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("end the task's supervisor: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// process returns the supervisor and the solver as seen from here.
func (t *task) process() *supervisor.Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.proc
}

func (t *task) isOver() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// result returns the exit result; only after done.
func (t *task) result() *drivers.ExitResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.res.Copy()
}

// forget removes the record of a task that is over.
func (t *task) forget() error {
	t.events.forget(t)
	if t.record == nil {
		return nil
	}
	return t.record.Remove()
}

func (t *task) status() *drivers.TaskStatus {
	over := t.isOver()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &drivers.TaskStatus{
		ID: t.id.String(), Name: t.details.Task, State: drivers.TaskStateRunning,
		StartedAt: t.details.StartedAt,
		DriverAttributes: map[string]string{
			"pid":     fmt.Sprint(t.pid),
			"cores":   cpuList(t.cpus),
			"run_dir": t.details.RunFolder,
		},
	}
	if over {
		s.State, s.CompletedAt, s.ExitResult = drivers.TaskStateExited, t.completedAt, t.res.Copy()
	}
	return s
}

// say emits a task event and logs it.
func (t *task) say(message string) {
	message = t.events.redact(message)
	t.logger.Info(message)
	t.events.emit(t, message, nil)
}

func (t *task) event(message string, annotations map[string]string) *drivers.TaskEvent {
	return &drivers.TaskEvent{
		TaskID: t.id.String(), TaskName: t.id.Task, AllocID: t.id.Alloc,
		Timestamp: time.Now(), Message: message, Annotations: annotations,
	}
}

// openOutputs opens the run folder and follows its outputs. A folder that
// cannot be opened costs the progress, not the task.
func (t *task) openOutputs() {
	old, err := decodeOutputs(t.details.Old)
	if err != nil {
		t.logger.Warn("cannot tell the run's outputs from older ones", "error", err)
		return
	}
	folder, err := openRunFolder(t.details.RunBase, t.details.RunFolder, t.user())
	if err != nil {
		t.logger.Warn("cannot open the run folder", "error", err)
		return
	}
	t.folder, t.recovered = folder, true
	t.follow = rundir.NewFollower(folder, rundir.FollowOptions{Stdout: t.details.Stdout, JobID: t.details.LSDynaJob, Old: old})
}

// user is who the run runs as.
func (t *task) user() supervisor.User {
	if t.spec != nil {
		return t.spec.User
	}
	return supervisor.User{UID: t.details.UID, GID: t.details.GID, Name: t.details.User}
}

// setProcess takes over a process and what its pid file says of it.
func (t *task) setProcess(proc *supervisor.Process, rec pidfile.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proc, t.pid, t.cpus = proc, rec.PID, rec.Cores
	t.born, t.began = rec, time.Time{}
}

// beganAt is when the run began, by the monotonic clock. It is found when it is
// first asked for: a plugin that restarts has many tasks and no time. The caller
// holds t.mu.
func (t *task) beganAt() time.Time {
	if t.began.IsZero() {
		t.began = startedAt(t.born, t.details)
	}
	return t.began
}
