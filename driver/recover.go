// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// RecoverTask finds a task again after the plugin, the client or both went
// away, and gives it the cores it had. It walks StartTask back: handle, record,
// process, cores, run folder. It returns an error only for a handle that cannot be
// read; whatever else there is to say of a task (it runs, it ended, it is lost)
// WaitTask delivers, so that Nomad's restart policy decides. A finished task takes
// no cores.
func (d *Driver) RecoverTask(handle *drivers.TaskHandle) error {
	if handle == nil || handle.Config == nil {
		return errors.New("cannot recover a task without its handle")
	}
	var h state.TaskState
	if err := handle.GetDriverState(&h); err != nil {
		return fmt.Errorf("decode driver state: %w", err)
	}
	if err := h.Validate(); err != nil {
		return err
	}
	if err := d.waitReady(); err != nil {
		return err
	}
	defer d.starting.lock(h.AllocID + "/" + h.Task)()
	if t, err := d.task(h.TaskID); err == nil {
		return d.claim(t, handle.Config, &h)
	}
	record, err := d.store.Record(h.ID())
	if err != nil {
		return d.recoverLost(handle.Config, &h)
	}
	d.mu.Lock()
	t := d.adoptRecord(record)
	d.mu.Unlock()
	if t != nil {
		return d.claim(t, handle.Config, &h)
	}
	return d.recoverOver(record, handle.Config, &h)
}

// adopt takes every solver that lives into the books, by the records on disk,
// before the first task is started: nothing else tells which cores are taken.
// The caller holds d.mu.
func (d *Driver) adopt() {
	records, err := d.store.Records()
	if err != nil {
		d.logger.Error("some records cannot be read", "error", err)
	}
	all := d.findAll(records)
	// A run whose pid file does not tell its cores may have lost those it began
	// with: it must not take another's, whose pid file does.
	for _, spoiled := range []bool{false, true} {
		for _, f := range all {
			if f != nil && f.spoiled() == spoiled {
				d.takeUp(f)
			}
		}
	}
	for i, f := range all {
		if f == nil {
			d.removeStale(records[i])
		}
	}
}

// staleAfter is how long a record is kept at least, counted from the run's start.
const staleAfter = 30 * 24 * time.Hour

// removeStale removes the record of a run that is over and that Nomad can no
// longer ask for: its allocation is gone from the client's disk. Age alone is no
// reason: a long run may have ended while nobody watched.
func (d *Driver) removeStale(record *state.Record) {
	details, err := record.ReadDetails()
	if err != nil || details.AllocDir == "" || time.Since(details.StartedAt) < staleAfter {
		return
	}
	if _, err := os.Lstat(details.AllocDir); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := record.Remove(); err != nil {
		d.logger.Warn("cannot remove an old record", "error", err)
	}
}

// adoptRecord takes the live solver of a record into the books, nil where there
// is none. The caller holds d.mu.
func (d *Driver) adoptRecord(record *state.Record) *task { return d.takeUp(d.find(record)) }

// takeUp takes a found task into the books and watches it. The caller holds d.mu.
func (d *Driver) takeUp(f *found) *task {
	if f == nil {
		return nil
	}
	t := f.task
	cpus := f.record.Cores
	if f.spoiled() {
		cpus = t.launchCPUs() // until Nomad hands over the driver state, which counts more
	}
	d.cores.learnParent(t.details.CgroupParent)
	// The old driver may have died between its word and its deed; to make sure
	// is no reason to let Nomad wait.
	t.unbind.Store(f.err == nil && len(cpus) == 0)
	d.restoreCores(t, cpus, "")
	d.tasks[t.id.String()] = t
	ctx, abandon := context.WithCancel(d.ctx)
	t.resumeStop(ctx)
	t.abandon, t.watched = abandon, make(chan struct{})
	go func() {
		defer close(t.watched)
		t.run(ctx)
	}()
	return t
}

// stayUnbound lifts the affinity of a run that has no cores of its own.
func (t *task) stayUnbound() {
	if err := t.rebind(); err != nil {
		t.logger.Error("cannot lift the affinity", "error", err)
	}
}

// launchCPUs returns what the solver was first bound to.
func (t *task) launchCPUs() []int {
	if t.spec == nil {
		return nil
	}
	return t.spec.CPUs
}

func (d *Driver) newTask(record *state.Record, details state.Details, spec *supervisor.Spec) *task {
	return &task{
		id: record.ID, details: details, record: record, spec: spec, events: d.events, cores: d.cores,
		logger: d.logger.With("alloc_id", record.ID.Alloc, "task", record.ID.Task),
		done:   make(chan struct{}),
	}
}

// restoreCores leases to a live solver the cores it is to have. Where they are
// taken it gets others and is moved; where there are none it runs without
// affinity. from says where the wanted cores are written, "" to say nothing of
// cores that stay the same.
func (d *Driver) restoreCores(t *task, cpus []int, from string) {
	if len(cpus) == 0 {
		return
	}
	t.unbind.Store(false)
	owner := t.id.String()
	wanted := cpuset.Of(cpus...)
	lease, how, err := d.cores.restore(owner, wanted, t.details.Reserved)
	if err != nil {
		t.say(fmt.Sprintf("Running without affinity: cores %s are taken: %v", wanted, err))
		t.stayUnbound()
		return
	}
	d.cores.alloc.SetPID(owner, t.pid)
	if how != allocator.RestoredSame {
		t.move(lease, cpus, "cores were taken while the driver was away")
		return
	}
	if from != "" {
		t.say(fmt.Sprintf("Restored cores %s from the %s", lease.CPUs, from))
	}
}

// errForeignPID means that a pid file names other processes than the driver state:
// somebody changed it.
var errForeignPID = errors.New("the pid file names processes that are not the task's")

// claim hands a live task to Nomad. The pid file's cores count first, then the
// driver state's; what neither knows was settled when the task was adopted.
func (d *Driver) claim(t *task, cfg *drivers.TaskConfig, h *state.TaskState) error {
	if t.details.TaskID == "" && t.abandon != nil {
		t = d.adoptWithDetails(t, h)
		if t.details.TaskID == "" && t.isOver() && d.judgeAgain(t, cfg, h) == nil {
			return nil
		}
	}
	t.mu.Lock()
	claimed := t.claimed
	if !claimed {
		t.claimed, t.env = true, cfg.Env
	}
	t.mu.Unlock()
	if claimed || t.isOver() {
		return nil
	}
	rec, err := t.process().Record()
	if err == nil && rec.Contradicts(h.Process()) {
		err = errForeignPID
	}
	if err == nil && t.identify(rec) {
		d.cores.alloc.SetPID(t.id.String(), rec.PID)
	}
	switch {
	case err == nil && len(rec.Cores) == 0:
		t.say("Recovered without affinity, as the pid file says")
	case err == nil:
		t.say(fmt.Sprintf("Restored cores %s from the pid file", cpuList(rec.Cores)))
		t.checkDrift()
	default:
		d.claimFromHandle(t, h, err)
	}
	return nil
}

// identify takes over a pid file that was not there yet when the task was
// adopted in the middle of its launch.
func (t *task) identify(rec pidfile.Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pid != 0 {
		return false
	}
	t.pid, t.cpus = rec.PID, rec.Cores
	return true
}

// claimFromHandle restores the process's identity and its cores from the driver
// state, because the pid file does not tell them.
func (d *Driver) claimFromHandle(t *task, h *state.TaskState, why error) {
	t.logger.Warn("the pid file does not tell the cores; using the driver state", "error", why)
	if err := t.reopen(h); err != nil {
		t.logger.Error("cannot open the record with the driver state", "error", err)
	}
	cpus := h.Cores
	lease, leased := d.cores.alloc.Lease(t.id.String())
	if len(cpus) == 0 {
		cpus = lease.CPUs.Slice()
	}
	if leased && lease.CPUs != cpuset.Of(cpus...) {
		d.cores.release(t.id.String())
		leased = false
	}
	if leased {
		t.say(fmt.Sprintf("Restored cores %s from the driver state", cpuList(cpus)))
	} else {
		d.restoreCores(t, cpus, "driver state")
	}
	d.bindToLease(t)
}

// bindToLease binds a live solver to what the books say, also where that is
// nothing new: the pid file is written with it.
func (d *Driver) bindToLease(t *task) {
	d.cores.alloc.SetPID(t.id.String(), t.pid)
	if err := t.rebind(); err != nil {
		t.logger.Error("cannot bind the solver", "error", err)
	}
}

// reopen finds the task's processes by what the driver state remembers of them;
// the pid file is written again with the next binding.
func (t *task) reopen(h *state.TaskState) error {
	known := h.Process()
	proc, err := supervisor.OpenKnown(t.record.Dir, known)
	if err != nil {
		return err
	}
	if old := t.process(); old != nil {
		old.Close() // run takes the new one at its next round
	}
	t.setProcess(proc, known)
	return nil
}

// recoverOver makes a task of a run that ended while nobody watched. Whether it
// has, only the driver state can tell where the pid file is spoiled.
func (d *Driver) recoverOver(record *state.Record, cfg *drivers.TaskConfig, h *state.TaskState) error {
	details, err := record.ReadDetails()
	if err != nil {
		if details, err = state.DecodeDetails(h.Details); err != nil {
			return err
		}
	}
	spec, _ := supervisor.ReadSpec(record.Dir)
	t := d.newTask(record, details, spec)
	t.claimed, t.env = true, cfg.Env
	proc, err := supervisor.OpenKnown(record.Dir, h.Process())
	if err != nil {
		return fmt.Errorf("open record: %w", err)
	}
	t.setProcess(proc, h.Process())
	if proc.State() != supervisor.Ended {
		d.recoverAlive(t, h)
		return nil
	}
	d.endOrphans(t)
	d.addOver(t, rebooted(h))
	return nil
}

// endOrphans ends what a run left behind whose supervisor was killed. A live
// successor has the same cgroup; its start ended them. The caller holds the lock of
// the task's starts.
func (d *Driver) endOrphans(t *task) {
	for _, other := range d.runsOf(t.id.Alloc, t.id.Task) {
		if !other.isOver() {
			return
		}
	}
	t.endLeftovers()
}

// recoverLost makes a task of a handle whose record is gone.
func (d *Driver) recoverLost(cfg *drivers.TaskConfig, h *state.TaskState) error {
	details, err := state.DecodeDetails(h.Details)
	if err != nil {
		return err
	}
	record, err := d.store.Create(h.ID())
	if err != nil {
		return err
	}
	defer record.Release()
	if err := record.WriteDetails(&details); err != nil {
		return err
	}
	spec, _ := supervisor.ReadSpec(record.Dir)
	t := d.newTask(record, details, spec)
	t.claimed, t.env = true, cfg.Env
	cgroups, _ := d.cores.cgroup.ofTask(cfg)
	t.spec = &supervisor.Spec{
		TaskID: h.TaskID, Cgroups: cgroups, CPUs: h.Cores, Dir: filepath.Join(details.RunBase, details.RunFolder),
		User:    supervisor.User{UID: details.UID, GID: details.GID, Name: details.User},
		Command: "/nonexistent", StdoutName: stdoutName, StderrName: stderrName,
	}
	d.cores.placeMemory(t.spec, cpuset.Of(h.Cores...))
	if err := supervisor.WriteSpec(record.Dir, t.spec); err != nil {
		return err
	}
	record.Release()
	if err := t.reopen(h); err != nil {
		return err
	}
	if spec := t.process().Spec(); spec != nil {
		t.spec = spec // with its version
	}
	if rebooted(h) || t.process().State() == supervisor.Ended { // nothing outlives a boot
		d.endOrphans(t)
		d.addOver(t, rebooted(h))
		return nil
	}
	t.say("The run's record was lost and was made anew from the driver state")
	d.recoverAlive(t, h)
	return nil
}

// recoverAlive takes up a live run that only the driver state knows.
func (d *Driver) recoverAlive(t *task, h *state.TaskState) {
	t.openOutputs()
	d.restoreCores(t, h.Cores, "driver state")
	d.bindToLease(t)
	d.add(t)
}

// addOver makes a finished task known; its outcome is read in the background.
func (d *Driver) addOver(t *task, rebooted bool) {
	d.mu.Lock()
	d.tasks[t.id.String()] = t
	d.mu.Unlock()
	t.openOutputs()
	go func() {
		exit := t.exit()
		t.conclude(exit)
		if rebooted && !exit.Known {
			t.concludeRebooted()
		}
		t.settleRecord()
		t.recallStop()
		t.followSwitch(true)
		t.say(t.lastWords())
		t.process().Close()
		t.closeFolder()
		close(t.done)
	}()
}

// rebooted tells whether the machine was started since the run was.
func rebooted(h *state.TaskState) bool {
	boot, err := procfs.BootID("/proc")
	return err == nil && h.BootID != "" && boot != h.BootID
}

// concludeRebooted replaces the outcome of a run that ended with its machine.
func (t *task) concludeRebooted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	words := t.outcome.Reason
	t.outcome = output.Outcome{Kind: output.Unknown, Reason: "host rebooted, solver lost; last known: " + words}
	t.res = &drivers.ExitResult{ExitCode: -1, Err: errors.New(t.outcome.Reason)}
}
