// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/board"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/keylock"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/ledger"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/restart"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/switches"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Driver implements Nomad's driver plugin interface. None of its RPCs waits for a
// run folder that it is not about, and none of them without a deadline.
type Driver struct {
	ctx    context.Context
	logger hclog.Logger
	told
	lookups
	starts   keylock.Locks // by allocation and task, and by run folder: no two starts at once
	runs     *runs.Table
	patience waiting
	routines sync.WaitGroup // everything that Close waits for

	preparing sync.Mutex // one call of ready at a time; taken before mu

	mu     sync.Mutex // guards what follows; nothing is waited for while it is held
	agent  agent
	store  *state.Store     // nil before ready
	cores  *placement.Cores // nil before ready
	closed bool

	unmanaged []*unmanaged // their records cannot be used yet
}

// told is what is told of runs, by whoever asks for it.
type told struct {
	events *events.Hub
	ledger *ledger.Ledger
	board  *board.Board
}

// lookups ask for what a file server or a directory may take long to tell.
type lookups struct {
	solvers  *solvercheck.Checker
	accounts *accounts.Accounts
}

// waiting is how long the driver waits for what a file server or another run decides.
type waiting struct {
	ends    task.Patience    // for outputs at the end of runs
	decks   restart.Patience // for decks and old outputs
	vacancy time.Duration    // of a start, for another run to leave its folder, or its cores
}

// agent is what the Nomad agent said in SetConfig.
type agent struct {
	settings *settings.Settings
	serving  bool // this process is the one that runs tasks: SetConfig came with the agent's configuration
	compute  cpustats.Compute
	usable   *cpuset.Set // cores that Nomad may use; nil: it did not say
}

var (
	_ drivers.DriverPlugin            = (*Driver)(nil)
	_ drivers.ExecTaskStreamingDriver = (*Driver)(nil)
)

// New returns a driver that lives until ctx is done. It does nothing before
// SetConfig: the agent launches the plugin several times just to ask it what it is.
func New(ctx context.Context, logger hclog.Logger) *Driver {
	return &Driver{
		ctx:      ctx,
		logger:   logger.Named(DriverName),
		told:     told{events: events.NewHub(ctx), ledger: ledger.New(logger), board: board.New(logger)},
		lookups:  lookups{solvers: solvercheck.New(os.Stat), accounts: accounts.New(ctx, accounts.Options{})},
		patience: waiting{ends: task.DefaultPatience, decks: restart.DefaultPatience, vacancy: folderPatience},
		agent:    agent{settings: &settings.Settings{}},
		runs:     runs.New(),
	}
}

// Close waits, after the driver's context has ended, for everything that the driver
// does in the background, and gives state_dir back. Solvers run on. What hangs in a
// file system is not waited for.
func (d *Driver) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.routines.Wait()
		d.events.Wait()
		d.accounts.Close()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("end the driver: %w", context.Cause(ctx))
	}
	d.mu.Lock()
	cores, store := d.cores, d.store
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	if again {
		return nil
	}
	var errs []error
	if cores != nil {
		errs = append(errs, cores.Close(ctx))
	}
	if store != nil {
		errs = append(errs, store.Close())
	}
	return errors.Join(errs...)
}

// ConfigSchema tells Nomad what the agent's plugin block may hold.
func (d *Driver) ConfigSchema() (*hclspec.Spec, error) { return settings.Spec, nil }

// TaskConfigSchema tells Nomad what a task's config block may hold.
func (d *Driver) TaskConfigSchema() (*hclspec.Spec, error) { return settings.TaskSpec, nil }

// SetConfig takes the agent's plugin block. The agent calls it up to three
// times in three processes, the first two only to validate (AgentConfig.Driver is
// nil) and without side effects. An error stops the whole agent, so only what can
// never work is refused; the rest shows in the fingerprint.
func (d *Driver) SetConfig(cfg *base.Config) error {
	var config settings.Config
	if len(cfg.PluginConfig) != 0 {
		if err := base.MsgPackDecode(cfg.PluginConfig, &config); err != nil {
			return fmt.Errorf("decode plugin configuration: %w", err)
		}
	}
	parsed, err := settings.Parse(config)
	if err != nil {
		return fmt.Errorf("plugin %q: %w", PluginName, err)
	}
	d.events.Hide(parsed.Secrets)
	d.mu.Lock()
	d.agent.settings = parsed
	if cfg.AgentConfig != nil && cfg.AgentConfig.Driver != nil {
		d.agent.serving = true
		d.agent.compute = cfg.AgentConfig.Compute()
		d.agent.usable = placement.UsableByNomad(cfg.AgentConfig.Driver.Topology)
	}
	serving := d.agent.serving
	d.mu.Unlock()
	if serving && parsed.Enabled {
		// Before the first RecoverTask and StartTask: from here on, the cores of
		// every live solver are taken.
		if err := d.ready(); err != nil {
			d.logger.Error("cannot take up work yet", "error", err)
		}
	}
	return nil
}

// said returns what the agent said.
func (d *Driver) said() agent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.agent
}

func (d *Driver) settings() *settings.Settings { return d.said().settings }

// task returns a task by Nomad's ID.
func (d *Driver) task(taskID string) (*task.Handle, error) { return d.runs.Get(taskID) }

// add makes a task known and watches it from then on.
func (d *Driver) add(h *task.Handle) {
	d.runs.Add(h)
	d.routines.Go(func() { h.Run(d.ctx) })
}

// WaitTask returns a channel that gives the result once, when the task is over.
// Many may wait for one task.
func (d *Driver) WaitTask(ctx context.Context, taskID string) (<-chan *drivers.ExitResult, error) {
	h, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	// Nomad's task runner waits now, so the allocation is known to the client
	// and its event handler is there: what was said before is not lost.
	h.Events.Attach()
	ch := make(chan *drivers.ExitResult, 1)
	d.routines.Go(func() {
		defer close(ch)
		select {
		case <-h.Ended():
			h.Events.Settle(ctx) // or Nomad says "Terminated" before what led to it
			ch <- h.Result()
		case <-ctx.Done():
		case <-d.ctx.Done():
		}
	})
	return ch, nil
}

// StopTask ends a task within the timeout: a sense switch first, so that the
// solver writes a dump, then the signal, then SIGKILL to all of it. It returns
// when the task is gone. An unknown task is gone.
func (d *Driver) StopTask(taskID string, timeout time.Duration, signal string) error {
	h, err := d.task(taskID)
	if err != nil {
		return nil
	}
	sig, err := task.StopSignal(signal)
	if err != nil {
		return err
	}
	return h.Stop(d.ctx, timeout, sig)
}

// SignalTask sends a signal to the solver. SIGUSR1, SIGUSR2 and the names of sense
// switches are such; they go to the solver's d3kil.
func (d *Driver) SignalTask(taskID, signal string) error {
	h, err := d.task(taskID)
	if err != nil {
		return err
	}
	name, isSwitch := switches.OfSignal(signal)
	sig, err := task.LookupSignal(signal)
	switch {
	case !isSwitch && err != nil:
		return switches.Neither(signal)
	case h.IsGone():
		return errors.New("the solver has ended")
	case isSwitch:
		return h.SendSwitch(d.ctx, name, signal)
	}
	return h.Signal(sig)
}

// DestroyTask forgets a task and removes its record. It is idempotent. With force a
// live run is stopped, dump first: Nomad asks for that where a task could not be
// recovered, which is no fault of its solver.
func (d *Driver) DestroyTask(taskID string, force bool) error {
	h, err := d.task(taskID)
	if err != nil {
		return nil
	}
	if !h.IsGone() {
		if !force {
			return fmt.Errorf("task %s still runs; stop it first, or destroy it with force", taskID)
		}
		if !h.AwaitStop(d.ctx) {
			if err := h.GiveWay(d.ctx); err != nil {
				return err
			}
		}
	}
	if err := h.WaitEnded(d.ctx); err != nil {
		return err
	}
	h.Abandon()
	d.runs.Remove(h)
	if h.Record() == nil {
		return nil // it cannot be used; a later plugin removes it
	}
	return h.Record().Remove()
}

// InspectTask returns what is known of a task.
func (d *Driver) InspectTask(taskID string) (*drivers.TaskStatus, error) {
	h, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	return h.Status(), nil
}

// TaskEvents returns the stream of task events.
func (d *Driver) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return d.events.Subscribe(ctx), nil
}
