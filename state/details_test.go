// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
)

func someDetails() *Details {
	return &Details{
		TaskID: "a/b/c", JobID: "crash", JobName: "Crash", Namespace: "default", Group: "g", Task: "b", AllocID: "a",
		AllocDir: "/alloc", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), User: "nobody", UID: 65534, GID: 65534,
		Solver: "r14", Parallel: "smp", Precision: "double", RunBase: "/scratch", RunFolder: "x", Stdout: "stdout",
		Input: "main.k", LSDynaJob: "j", CoresAsked: 4, Reserved: true, CgroupParent: "nomad.slice", Placement: "one node",
		Stop: "sw1", StartTimeout: time.Minute, Old: []byte(`{"d3hsp":1}`), Restart: "d3dump01",
	}
}

func TestDetails_RoundTrip(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	defer r.Unlock()
	want := someDetails()
	must.NoError(t, r.WriteDetails(want))
	must.Eq(t, "-rw-------", mode(t, filepath.Join(r.Dir, "task.json")))
	got, err := r.ReadDetails()
	must.NoError(t, err)
	must.Eq(t, DetailsVersion, got.Version)
	must.Eq(t, *want, got)
	entries, err := os.ReadDir(r.Dir)
	must.NoError(t, err)
	must.Len(t, 2, entries) // no temporary file is left
}

func TestDetails_WhatCannotBeReadIsNotWritten(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	defer r.Unlock()
	d := someDetails()
	empty, err := d.Encode()
	must.NoError(t, err)
	d.Input += strings.Repeat("x", maxDetails-len(empty))
	must.NoError(t, r.WriteDetails(d))
	got, err := r.ReadDetails()
	must.NoError(t, err)
	must.Eq(t, d.Input, got.Input)
	d.Input += "x"
	must.ErrorContains(t, r.WriteDetails(d), "more than the 4194304 that can be kept")
	again, err := r.ReadDetails()
	must.NoError(t, err)
	must.Eq(t, got, again)
}

func TestDetails_WhatCannotBeRead(t *testing.T) {
	for content, want := range map[string]string{
		"":                                  "decode task.json",
		"{":                                 "decode task.json",
		`{"version":2}`:                     "newer version of the plugin",
		`{"version":"1"}`:                   "decode task.json",
		`{"version":1,"started_at":"soon"}`: "decode task.json",
	} {
		_, err := DecodeDetails([]byte(content))
		must.ErrorContains(t, err, want)
	}
	d, err := DecodeDetails([]byte(`{"version":1,"task":"t","to come":[1,2]}`))
	must.NoError(t, err)
	must.Eq(t, "t", d.Task)

	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	defer r.Unlock()
	_, err = r.ReadDetails()
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.NoError(t, os.WriteFile(filepath.Join(r.Dir, "task.json"), bytes.Repeat([]byte(" "), maxDetails+1), 0o600))
	_, err = r.ReadDetails()
	must.ErrorContains(t, err, "larger than")
}

func TestDetails_FailedWriteLeavesTheOld(t *testing.T) {
	s := open(t)
	r, err := s.Create(someID)
	must.NoError(t, err)
	defer r.Unlock()
	must.NoError(t, r.WriteDetails(someDetails()))
	must.NoError(t, r.Remove())
	must.Error(t, r.WriteDetails(someDetails()))
	broken := someDetails()
	broken.Old = []byte("{")
	must.ErrorContains(t, r.WriteDetails(broken), "encode task.json")
}

func TestTaskState_RoundTripThroughNomad(t *testing.T) {
	want := TaskState{
		Version: TaskStateVersion, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c", PID: 1234, StartTicks: 1 << 40,
		SupervisorPID: 1233, SupervisorStart: 1<<40 - 1, BootID: "boot", StartedAt: time.Now().UnixNano(), Cores: []int{0, 3},
		Reserved: true, Details: []byte(`{"version":1}`), DriverPluginVersion: "1.2.3",
	}
	th := drivers.NewTaskHandle(TaskStateVersion)
	must.NoError(t, th.SetDriverState(&want))
	must.StrNotContains(t, string(th.DriverState), "TOKEN")
	var got TaskState
	must.NoError(t, th.GetDriverState(&got))
	must.Eq(t, want, got)
	must.NoError(t, got.Validate())
	must.Eq(t, ID{"a", "b", "c"}, got.ID())
	must.Eq(t, want.StartedAt, got.Started().UnixNano())
	rec := got.Process()
	must.Eq(t, want.PID, rec.PID)
	must.Eq(t, want.SupervisorPID, rec.SupervisorPID)
	must.Eq(t, want.StartTicks, rec.StartTime)
	must.Eq(t, want.SupervisorStart, rec.SupervisorStartTime)
	must.Eq(t, want.BootID, rec.BootID)
	must.Eq(t, want.Cores, rec.Cores)
}

func TestTaskState_Validate(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*TaskState)
		want  string
	}{
		"no version":    {func(h *TaskState) { h.Version = 0 }, "has no version"},
		"newer version": {func(h *TaskState) { h.Version = TaskStateVersion + 1 }, "newer version of the plugin"},
		"no task ID":    {func(h *TaskState) { h.TaskID = "" }, "does not name its task"},
		"no alloc":      {func(h *TaskState) { h.AllocID = "" }, "does not name its task"},
		"no task":       {func(h *TaskState) { h.Task = "" }, "does not name its task"},
		"no invocation": {func(h *TaskState) { h.Invocation = "" }, "does not name its task"},
		"leads out":     {func(h *TaskState) { h.Task = "../.." }, "not a plain name"},
	} {
		t.Run(name, func(t *testing.T) {
			h := TaskState{Version: TaskStateVersion, TaskID: "a/b/c", AllocID: "a", Task: "b", Invocation: "c"}
			must.NoError(t, h.Validate())
			c.spoil(&h)
			must.ErrorContains(t, h.Validate(), c.want)
		})
	}
	must.True(t, errors.Is((&TaskState{Version: 9}).Validate(), ErrNewer))
}

func FuzzDecodeDetails(f *testing.F) {
	data, err := someDetails().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":-1}`))
	f.Add([]byte(`{"old_outputs":null,"identity":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := DecodeDetails(data)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil {
			return // a time that JSON reads but does not write
		}
		if _, err := DecodeDetails(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, again)
		}
	})
}
