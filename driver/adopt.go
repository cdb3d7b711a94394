// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// A found task is a live solver that is not in the books yet.
type found struct {
	*task
	record pidfile.Record
	err    error // of the record
}

// spoiled tells whether the pid file does not tell the cores.
func (f *found) spoiled() bool {
	return f.record.PID == 0 || errors.Is(f.err, errForeignPID) || errors.Is(f.err, pidfile.ErrNoCores) || errors.Is(f.err, pidfile.ErrNoPID)
}

// findAll opens the records, several at a time: it is mostly system calls, and
// Nomad waits for them. What it returns is in the order of the records.
func (d *Driver) findAll(records []*state.Record) []*found {
	all := make([]*found, len(records))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(records)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				all[i] = d.find(records[i])
			}
		})
	}
	workers.Wait()
	return all
}

// find opens a record, and returns nil where there is no live solver.
func (d *Driver) find(record *state.Record) *found {
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		d.logger.Error("cannot open a record", "record", record.Dir, "error", err)
		return nil
	}
	how, pid, pidErr := proc.Found()
	if how == supervisor.Ended {
		proc.Close()
		return nil
	}
	if spec := proc.Spec(); spec != nil && spec.TaskID != record.ID.String() {
		d.logger.Warn("a record is a copy of another one", "record", record.Dir, "of", spec.TaskID)
		proc.Close()
		return nil
	}
	details, err := record.ReadDetails()
	if err != nil {
		d.logger.Warn("a live solver's record is damaged", "record", record.Dir, "error", err)
	}
	t := d.newTask(record, details, proc.Spec())
	t.openOutputs()
	t.setProcess(proc, pid)
	if tree, err := proc.Tree(); pidErr == nil && err == nil && !tree.HoldsMain() {
		d.logger.Warn("a pid file names a process that is not the task's", "record", record.Dir, "pid", pid.PID)
		pidErr = errForeignPID
	}
	return &found{task: t, record: pid, err: pidErr}
}
