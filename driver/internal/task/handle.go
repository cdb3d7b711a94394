// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/keeper"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/ledger"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/monotonic"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settle"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/watchdog"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Handle is one run of a solver as the driver knows it. Its methods may be called
// by anybody at any time, unless they say otherwise. None of them waits for the run
// folder without a deadline.
type Handle struct {
	ID     state.ID
	Events *events.Stream
	Binder *placement.Binder

	origin
	kept   keeper.Keeper
	ledger ledger.Once
	*life
	run     atomic.Pointer[run]     // nil until its details are known
	process atomic.Pointer[process] // never nil
	env     atomic.Pointer[map[string]string]

	known   chan struct{} // closed when run is set
	stopper stopper
	alerts  alerts // of Run's goroutine alone

	ctx      context.Context // ends with Abandon
	abandon  context.CancelFunc
	routines sync.WaitGroup // resumed stops, and the end of a run that does not start
}

// origin is what a handle is made of and what never changes.
type origin struct {
	logger    hclog.Logger
	successor func() bool // reports whether a later run of the same task lives
	patience  Patience
	adopted   bool // another plugin process started it
	found     time.Time
	over      bool   // its processes were gone when it was found
	program   string // for the page that it leaves
}

// run is what is known of a run from its details: with them comes its folder.
type run struct {
	state.Details
	watcher     *watch.Watcher
	switches    *switches.Queue
	checkpoints *checkpoints
	dog         *watchdog.Watchdog // of Run's goroutine alone; nil until it is needed
}

// process is the supervisor and the solver as seen from here, and what the pid
// file says of them.
type process struct {
	*supervisor.Process
	record pidfile.Record
	spec   *supervisor.Spec // nil when the record has none
	began  func() time.Time // by the monotonic clock
}

// Patience says how long the outputs of a run that is over are waited for, and how long
// the last dump is of one that must give way.
type Patience struct {
	settle.Patience
	Dump      time.Duration // of a run that must give way: Nomad tells a kill_timeout with StopTask only
	Unclaimed time.Duration // for Nomad to ask for a run that another plugin process started
}

// DefaultPatience is the patience of a driver in earnest.
var DefaultPatience = Patience{
	Patience: settle.Patience{Silent: 10 * time.Minute, Missing: 10 * time.Second, Stopped: time.Minute, Partial: 5 * time.Second},
	Dump:     5 * time.Minute, Unclaimed: 2 * time.Minute,
}

// Options say what a Handle is made of.
type Options struct {
	ID      state.ID
	Record  *state.Record    // nil: it cannot be used yet, Manage brings it
	Spec    *supervisor.Spec // nil when the record has none
	Details *state.Details   // nil when the record does not tell; Attach brings them
	Watcher *watch.Watcher   // of a start; nil: made from the details

	Process *supervisor.Process
	PID     pidfile.Record // what its pid file says

	Phase     Phase // Adopted or Attached
	Patience  Patience
	Env       map[string]string
	Over      bool // none of its processes was there when it was found
	Successor func() bool
	Program   string // name and version of the driver
	Binder    *placement.Binder
	Events    *events.Stream
	Ledger    *ledger.Ledger // nil: how the run ends is not noted
	Logger    hclog.Logger
}

// New makes a handle. Run must be called for it, once.
func New(o Options) *Handle {
	h := &Handle{
		ID: o.ID, Events: o.Events, Binder: o.Binder, life: newLife(o.Phase), known: make(chan struct{}),
		origin: origin{
			logger: o.Logger, successor: o.Successor, patience: o.Patience,
			adopted: o.Watcher == nil, found: time.Now(), over: o.Over, program: o.Program,
		},
	}
	h.kept.Init(o.Record)
	h.ledger.Ledger = o.Ledger
	h.stopper.init()
	h.ctx, h.abandon = context.WithCancel(context.Background())
	h.setProcess(o.Process, o.PID, o.Spec)
	if o.Env != nil {
		h.env.Store(&o.Env)
	}
	if o.Details != nil {
		h.setDetails(*o.Details, o.Watcher)
	}
	return h
}

// setDetails makes the run's details known. It must be called once at most.
func (h *Handle) setDetails(d state.Details, w *watch.Watcher) {
	if w == nil {
		w = h.watch(d)
	}
	q := switches.New(switches.Options{Watcher: w, Keep: d.CheckpointKeep, Unless: h.checkStopping, Logger: h.logger})
	h.run.Store(&run{Details: d, watcher: w, switches: q, checkpoints: newCheckpoints(&d)})
	close(h.known)
	h.nameSolver()
	h.holdFolder()
}

// watch begins to watch the folder of a run that another plugin process started.
// What its outputs are does not depend on whether it can be opened now.
func (h *Handle) watch(d state.Details) *watch.Watcher {
	old, err := runfolder.DecodeOutputs(d.Old)
	if err != nil {
		h.logger.Warn("cannot tell the run's outputs from older ones", "error", err)
	}
	follow := &rundir.FollowOptions{Stdout: d.Stdout, JobID: d.LSDynaJob, Old: old}
	if d.NodeIndex > 0 {
		follow = nil // the leading node's task reads the outputs
	}
	o := runfolder.WatchOptions(d.RunBase, d.RunFolder, h.user(d), h.logger, follow)
	o.Run = h.ID.String()
	return watch.Start(o)
}

// user is who the run runs as.
func (h *Handle) user(d state.Details) supervisor.User {
	if spec := h.Spec(); spec != nil {
		return spec.User
	}
	return UserOf(&d)
}

// UserOf is who a run runs as, by its details.
func UserOf(d *state.Details) supervisor.User {
	return supervisor.User{UID: d.UID, GID: d.GID, Name: d.User, Groups: d.Groups, Home: d.Home}
}

// Attach hands the run to Nomad: it asks for it. details are what the driver state
// remembers, for a record that does not tell them; nil where that does not either.
// identity are the run's processes as it remembers them. Attach reports whether Nomad
// asks for the first time.
func (h *Handle) Attach(details func() *state.Details, identity pidfile.Record, env map[string]string) (first bool) {
	h.remember(identity)
	first, _ = h.advance(attach) // legal in every phase
	if !first {
		return false
	}
	h.env.Store(&env)
	if err := h.kept.NoteClaimed(); err != nil {
		h.logger.Warn("cannot note that Nomad has asked for the run", "error", err)
	}
	if h.run.Load() != nil {
		return true
	}
	d := details()
	if d == nil {
		d = &state.Details{} // nothing is known, and nothing more will be
	}
	h.setDetails(*d, nil)
	return true
}

// Details returns the run's details; nil while they are not known.
func (h *Handle) Details() *state.Details {
	if r := h.run.Load(); r != nil {
		return &r.Details
	}
	return nil
}

// Spec returns what the supervisor was told; nil when the record does not tell.
func (h *Handle) Spec() *supervisor.Spec {
	if p := h.process.Load(); p != nil {
		return p.spec
	}
	return nil
}

// Logger is the run's own.
func (h *Handle) Logger() hclog.Logger { return h.logger }

// Process returns the supervisor and the solver as seen from here.
func (h *Handle) Process() *supervisor.Process { return h.process.Load().Process }

// PID is the solver's process id; 0 where it is not known.
func (h *Handle) PID() int { return h.process.Load().record.PID }

// SetProcess takes over a process and what its pid file says of it.
func (h *Handle) SetProcess(p *supervisor.Process, rec pidfile.Record) {
	spec := p.Spec()
	if spec == nil {
		spec = h.Spec()
	}
	h.setProcess(p, rec, spec)
}

func (h *Handle) setProcess(p *supervisor.Process, rec pidfile.Record, spec *supervisor.Spec) {
	begins := sync.OnceValue(func() time.Time {
		var recorded time.Time
		if d := h.Details(); d != nil {
			recorded = d.StartedAt
		}
		return monotonic.StartedAt(rec, recorded)
	})
	if old := h.process.Swap(&process{Process: p, record: rec, spec: spec, began: begins}); old != nil && old.Process != p {
		old.Close() // Run takes the new one at its next round
	}
	h.nameSolver()
	h.holdFolder()
}

// Phase returns where the run is in its life.
func (h *Handle) Phase() Phase { p, _ := h.is(); return p }

// IsAttached reports whether Nomad has asked for the run.
func (h *Handle) IsAttached() bool { _, attached := h.is(); return attached }

// IsGone reports whether none of its processes is left, and its cores are free.
func (h *Handle) IsGone() bool { return closed(h.gone) }

// IsEnded reports whether the result is final.
func (h *Handle) IsEnded() bool { return closed(h.ended) }

// Gone is closed when none of its processes is left, and its cores are free.
func (h *Handle) Gone() <-chan struct{} { return h.gone }

// Ended is closed when the result is final.
func (h *Handle) Ended() <-chan struct{} { return h.ended }

// Left is closed when nothing of the run happens in its folder any more: what its
// watcher asks of a file server that does not answer may be done later than anybody
// waits for it.
func (h *Handle) Left() <-chan struct{} {
	if r := h.run.Load(); r != nil {
		return r.watcher.Done()
	}
	return h.gone // nobody looks into a folder that is not known
}

// HasLeft reports whether Left is closed.
func (h *Handle) HasLeft() bool { return closed(h.Left()) }

// Result returns how the run ended. Must only be called after Ended.
func (h *Handle) Result() *drivers.ExitResult { r, _ := h.final(); return r }

// Abandon has the driver let go of the run: Run returns, and nothing is said or
// written of it any more. Its processes stay as they are. Where they are gone, and
// only the outputs were still waited for, whoever waits for the result gets one.
func (h *Handle) Abandon() {
	// The result before Run returns: by it Run gives back the folder of a run that is over.
	o := output.Outcome{Kind: output.Unknown, Reason: "unknown: the task was destroyed before its outputs were read"}
	if h.IsGone() && !h.IsEnded() {
		h.finish(h.View().Snapshot, o, verdict.Exit{})
	}
	h.abandon()
	h.Events.Forget()
}

// Status is what InspectTask returns.
func (h *Handle) Status() *drivers.TaskStatus {
	s := &drivers.TaskStatus{
		ID: h.ID.String(), Name: h.ID.Task, State: drivers.TaskStateRunning,
		DriverAttributes: map[string]string{"pid": fmt.Sprint(h.PID()), "cores": cpuList(h.Binder.CPUs())},
	}
	if d := h.Details(); d != nil {
		s.StartedAt = d.StartedAt
		s.DriverAttributes["run_dir"] = d.RunFolder
	}
	if h.IsEnded() {
		s.State = drivers.TaskStateExited
		s.ExitResult, s.CompletedAt = h.final()
	}
	return s
}

// say emits a task event and logs it.
func (h *Handle) say(format string, args ...any) { h.Events.Emit(fmt.Sprintf(format, args...)) }

// cpuList prints CPUs as the kernel does, "0-3,8", and none as "none".
func cpuList(cpus []int) string {
	if len(cpus) == 0 {
		return "none"
	}
	return cpuset.Of(cpus...).String()
}

// Folder is the path of the run folder; "" where it is not known.
func (h *Handle) Folder() string {
	if d := h.Details(); d != nil && d.RunBase != "" {
		return filepath.Join(d.RunBase, d.RunFolder)
	}
	if spec := h.Spec(); spec != nil {
		return spec.Dir
	}
	return ""
}

// View is what is known of the run's outputs; nothing while its folder is not known.
func (h *Handle) View() watch.View {
	if r := h.run.Load(); r != nil {
		return r.watcher.View()
	}
	return watch.View{}
}
