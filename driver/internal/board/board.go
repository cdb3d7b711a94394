// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package board tells the owners of jobs, who may not read state_dir, how their tasks
// are: it keeps the files of status_dir up to date (package public). What it tells is what
// the driver knows already; it asks no run folder.
package board

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Options say what is told, and where.
type Options struct {
	Dir      string // status_dir; "": nothing is told
	StateDir string
	Runs     *runs.Table
	Cores    *placement.Cores
}

// Board keeps one status_dir.
type Board struct {
	logger hclog.Logger
	every  time.Duration
	ended  chan struct{} // closed when nothing more is written; nil before Start

	// Of the goroutine alone.
	options Options
	writer  public.Writer
	dir     *public.Dir // nil: it cannot be used
	trouble string      // why, as it was logged
}

// interval is how often what changed is told.
const interval = 3 * time.Second

// New returns a board that tells nothing yet.
func New(logger hclog.Logger) *Board { return &Board{logger: logger, every: interval} }

// Start tells how the tasks are, until ctx ends. It must be called once at most. A
// status_dir that cannot be used now is tried again.
func (b *Board) Start(ctx context.Context, o Options) {
	b.ended = make(chan struct{})
	if o.Dir == "" {
		close(b.ended)
		return
	}
	b.options, b.writer = o, public.ThisProcess(os.Getpid())
	go b.run(ctx) // nobody waits for it: status_dir may be on any file system
}

// Ended is closed when the board writes nothing more.
func (b *Board) Ended() <-chan struct{} { return b.ended }

func (b *Board) run(ctx context.Context) {
	defer close(b.ended)
	ticker := time.NewTicker(b.every)
	defer ticker.Stop()
	for {
		b.report(b.tell())
		select {
		case <-ctx.Done():
			if b.dir != nil {
				_ = b.dir.Close()
			}
			return
		case <-ticker.C:
		}
	}
}

// report logs an error that is not the last one's.
func (b *Board) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == b.trouble {
		return
	}
	b.trouble = text
	switch {
	case err == nil:
		b.logger.Info("owners of jobs can see their status", "status_dir", b.options.Dir)
	case errors.Is(err, durable.ErrHeld):
		b.logger.Info("owners of jobs cannot see their status yet: another plugin has status_dir", "status_dir", b.options.Dir)
	default:
		b.logger.Warn("owners of jobs cannot see their status", "error", err)
	}
}

// tell writes what is known now.
func (b *Board) tell() error {
	if b.dir == nil {
		dir, err := public.Open(b.options.Dir)
		if err != nil {
			return err
		}
		b.dir = dir
	}
	live := b.options.Runs.Find(func(h *task.Handle) bool { return !h.IsGone() })
	slices.SortFunc(live, func(x, y *task.Handle) int { return strings.Compare(x.ID.String(), y.ID.String()) })
	node := public.Node{
		Writer: b.writer, Written: time.Now().UTC(), Uptime: public.Uptime(), Tasks: len(live),
		StateDir: b.options.StateDir, Settings: b.options.Cores.Settings(),
	}
	users, taken := map[int]public.Tasks{}, cpuset.Set{}
	for _, h := range live {
		cpus := h.Binder.CPUs()
		taken = taken.Union(cpuset.Of(cpus...))
		d := h.Details()
		if d == nil {
			continue // whose it is is not known
		}
		t := users[d.UID]
		t.Tasks = append(t.Tasks, describe(h, d, cpus))
		users[d.UID] = t
	}
	node.Taken = taken.String()
	err := b.dir.Write(node, users)
	if errors.Is(err, os.ErrNotExist) { // somebody removed it
		_ = b.dir.Close()
		b.dir = nil
	}
	return err
}

// describe tells of one task what its owner may know.
func describe(h *task.Handle, d *state.Details, cpus []int) public.Task {
	rec, _ := h.Process().Record()
	t := public.Task{
		ID: h.ID, Details: public.Told(d), Cores: cpus, State: stateOf(h),
		Process: public.Process{
			PID: rec.PID, Start: rec.StartTime, BootID: rec.BootID, SupervisorPID: rec.SupervisorPID, SupervisorStart: rec.SupervisorStartTime,
		},
	}
	v := h.View()
	if v.Looks > 0 {
		t.Snapshot = told(v.Snapshot)
	}
	if v.Gone != nil {
		t.Notes = append(t.Notes, v.Gone.Error())
	}
	return t
}

// told is what status shows of a snapshot: of curves their ends. It is null where it holds
// an infinity.
func told(s output.Snapshot) json.RawMessage {
	s.Energies = s.Energies.Newest()
	data, _ := json.Marshal(s)
	return data
}

// stateOf is what status says of a live run.
func stateOf(h *task.Handle) string {
	switch {
	case h.PID() == 0:
		return supervisor.Launching.String()
	case h.Process().Supervised():
		return supervisor.Running.String()
	}
	return h.Process().State().String()
}
