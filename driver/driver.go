// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Driver implements Nomad's driver plugin interface.
type Driver struct {
	ctx    context.Context
	logger hclog.Logger
	events *events

	mu      sync.Mutex // guards what follows
	config  *Config
	serving bool // this process is the one that runs tasks: SetConfig came with the agent's configuration
	compute cpustats.Compute
	nomad   nomadCores
	store   *state.Store
	cores   *cores
	tasks   map[string]*task // by Nomad's task ID

	starting keyedMutex // by allocation and task, and by run folder: no two starts at once
}

var (
	_ drivers.DriverPlugin            = (*Driver)(nil)
	_ drivers.ExecTaskStreamingDriver = (*Driver)(nil)
)

// New returns a driver that lives until ctx is done. It does nothing before
// SetConfig: the agent launches the plugin several times just to ask it what it is.
func New(ctx context.Context, logger hclog.Logger) *Driver {
	return &Driver{
		ctx:    ctx,
		logger: logger.Named(DriverName),
		events: newEvents(),
		config: &Config{},
		tasks:  map[string]*task{},
	}
}

// ConfigSchema tells Nomad what the agent's plugin block may hold.
func (d *Driver) ConfigSchema() (*hclspec.Spec, error) { return configSpec, nil }

// TaskConfigSchema tells Nomad what a task's config block may hold.
func (d *Driver) TaskConfigSchema() (*hclspec.Spec, error) { return taskConfigSpec, nil }

// SetConfig takes the agent's plugin block. The agent calls it up to three
// times in three processes, the first two only to validate (AgentConfig.Driver is
// nil) and without side effects. An error stops the whole agent, so only what can
// never work is refused; the rest shows in the fingerprint.
func (d *Driver) SetConfig(cfg *base.Config) error {
	var config Config
	if len(cfg.PluginConfig) != 0 {
		if err := base.MsgPackDecode(cfg.PluginConfig, &config); err != nil {
			return fmt.Errorf("decode plugin configuration: %w", err)
		}
	}
	if config.StateDir == "" {
		config.StateDir = DefaultStateDir
	}
	if err := config.Validate(); err != nil {
		return fmt.Errorf("plugin %q: %w", PluginName, err)
	}
	d.events.hide(config.secrets())
	d.mu.Lock()
	d.config = &config
	if cfg.AgentConfig != nil && cfg.AgentConfig.Driver != nil {
		d.serving = true
		d.compute = cfg.AgentConfig.Compute()
		d.nomad = coresOfNomad(cfg.AgentConfig.Driver.Topology)
	}
	serving := d.serving
	d.mu.Unlock()
	if serving && config.Enabled {
		// Before the first RecoverTask and StartTask: from here on, the cores of
		// every live solver are taken.
		if err := d.ready(); err != nil {
			d.logger.Error("cannot take up work yet", "error", err)
		}
	}
	return nil
}

var errDisabled = errors.New("driver lsdyna is disabled on this node: set enabled = true in its plugin block")

// ready makes the driver able to run tasks: it takes state_dir, reads the
// machine, and adopts every solver that lives. It is called again wherever it
// did not succeed before, e.g. while a dying plugin still holds state_dir.
func (d *Driver) ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.config.Enabled:
		return errDisabled
	case d.store != nil:
		return nil
	case !d.serving:
		return errors.New("driver lsdyna has no agent configuration")
	}
	store, err := d.openStore()
	if err != nil {
		return err
	}
	cores, err := newCores(d.config, d.nomad, d.logger)
	if err != nil {
		_ = store.Close()
		return err
	}
	d.store, d.cores = store, cores
	d.adopt()
	go d.watchCores()
	return nil
}

// openStore takes state_dir, if need be from a plugin that no agent uses any
// more: an agent that is killed while it launches a plugin forgets that plugin,
// which then lives on and holds state_dir.
func (d *Driver) openStore() (*state.Store, error) {
	store, err := state.Open(d.config.StateDir)
	var used *state.InUseError
	if !errors.As(err, &used) || !used.Holder.Process().Alive("/proc") || used.Holder.Parent().Alive("/proc") {
		return store, err
	}
	if used.Holder.ParentPID <= 1 {
		return nil, err // launched by init itself: nothing can be told
	}
	d.logger.Warn("ending a plugin process whose agent is dead", "pid", used.Holder.PID)
	if err := supervisor.EndProcess(used.Holder.Process()); err != nil {
		return nil, fmt.Errorf("%w; it is left over from a dead agent: %w", used, err)
	}
	return state.Open(d.config.StateDir)
}

// waitReady is ready for callers that Nomad does not let try again: it waits
// for another plugin process to let go of state_dir.
func (d *Driver) waitReady() error {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	for {
		err := d.ready()
		if err == nil || !errors.Is(err, state.ErrInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *Driver) currentConfig() *Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// task returns a task by Nomad's ID.
func (d *Driver) task(taskID string) (*task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.tasks[taskID]; ok {
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}

// add makes a task known and starts to watch it.
func (d *Driver) add(t *task) {
	d.mu.Lock()
	d.tasks[t.id.String()] = t
	d.mu.Unlock()
	go t.run(d.ctx)
}

// runsOf returns the tasks that are runs of one task of one allocation.
func (d *Driver) runsOf(alloc, name string) []*task {
	d.mu.Lock()
	defer d.mu.Unlock()
	var runs []*task
	for _, t := range d.tasks {
		if t.id.Alloc == alloc && t.id.Task == name {
			runs = append(runs, t)
		}
	}
	return runs
}

// WaitTask returns a channel that gives the result once, when the task is over.
// Many may wait for one task.
func (d *Driver) WaitTask(ctx context.Context, taskID string) (<-chan *drivers.ExitResult, error) {
	t, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	// Nomad's task runner waits now, so the allocation is known to the client
	// and its event handler is there: what was said before is not lost.
	d.events.attach(t)
	ch := make(chan *drivers.ExitResult, 1)
	go func() {
		defer close(ch)
		select {
		case <-t.done:
			ch <- t.result()
		case <-ctx.Done():
		case <-d.ctx.Done():
		}
	}()
	return ch, nil
}

// StopTask ends a task within the timeout: a sense switch first, so that the
// solver writes a dump, then the signal, then SIGKILL to all of it. It returns
// when the task is gone. An unknown task is gone.
func (d *Driver) StopTask(taskID string, timeout time.Duration, signal string) error {
	t, err := d.task(taskID)
	if err != nil {
		return nil
	}
	sig, err := stopSignal(signal)
	if err != nil {
		return err
	}
	return t.stop(d.ctx, timeout, sig)
}

// DestroyTask forgets a task and removes its record. It is idempotent.
func (d *Driver) DestroyTask(taskID string, force bool) error {
	t, err := d.task(taskID)
	if err != nil {
		return nil
	}
	if !t.isOver() {
		if !force {
			return fmt.Errorf("task %s still runs; stop it first, or destroy it with force", taskID)
		}
		if err := t.kill(d.ctx); err != nil {
			return err
		}
		if err := t.gone(d.ctx); err != nil { // its cores are free, and nobody reads its record any more
			return err
		}
	}
	d.mu.Lock()
	delete(d.tasks, taskID)
	d.mu.Unlock()
	return t.forget()
}

// InspectTask returns what is known of a task.
func (d *Driver) InspectTask(taskID string) (*drivers.TaskStatus, error) {
	t, err := d.task(taskID)
	if err != nil {
		return nil, err
	}
	return t.status(), nil
}

// TaskEvents returns the stream of task events.
func (d *Driver) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return d.events.subscribe(ctx, d.ctx), nil
}

// keyedMutex is a mutex for each key.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	mu    sync.Mutex
	users int
}

// lock takes the key's mutex and returns what gives it back.
func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
		k.mu.Unlock()
	}
}
