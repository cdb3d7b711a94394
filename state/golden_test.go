// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "v1", name))
	must.NoError(t, err)
	return data
}

const (
	goldenAlloc = "9b2f6a53-7c1e-4a08-b0a4-5d1c0f3e8a77"
	goldenBoot  = "11111111-2222-3333-4444-555555555555"
)

// What version 1 wrote means the same for ever.
func TestGolden_TaskState(t *testing.T) {
	th := &drivers.TaskHandle{DriverState: golden(t, "handle.msgpack")}
	var h TaskState
	must.NoError(t, th.GetDriverState(&h))
	must.NoError(t, h.Validate())
	details, err := DecodeDetails(h.Details)
	must.NoError(t, err)
	must.Eq(t, goldenDetails(), details)
	h.Details = nil
	must.Eq(t, TaskState{
		Version: 1, TaskID: goldenAlloc + "/solve/fd73c814", AllocID: goldenAlloc, Task: "solve", Invocation: "fd73c814",
		PID: 5330, StartTicks: 1461889, SupervisorPID: 5326, SupervisorStart: 1461888, BootID: goldenBoot,
		StartedAt: 1795386373840018913, Cores: []int{0}, DriverPluginVersion: h.DriverPluginVersion,
	}, h)
	must.NotEq(t, "", h.DriverPluginVersion)
}

func TestGolden_Details(t *testing.T) {
	details, err := DecodeDetails(golden(t, "task.json"))
	must.NoError(t, err)
	must.Eq(t, goldenDetails(), details)
}

func goldenDetails() Details {
	return Details{
		Version: 1, TaskID: goldenAlloc + "/solve/fd73c814", JobID: "crash", JobName: "crash", Namespace: "default", Group: "g",
		Task: "solve", AllocID: goldenAlloc, AllocDir: "/srv/nomad-driver-lsdyna/scratch/case/alloc-" + goldenAlloc,
		StartedAt: time.Date(2026, 11, 22, 22, 26, 13, 840018913, time.UTC), User: "nobody", UID: 65534, GID: 65534,
		Solver: "standin", Parallel: "smp", Precision: "double", RunBase: "/srv/nomad-driver-lsdyna/scratch/case", RunFolder: "run-3523382692",
		Stdout: "stdout", Input: "main.k", CoresAsked: 1, Placement: "the machine has one L3 cache", Stop: "sw1",
		StartTimeout: 10 * time.Minute, Old: json.RawMessage("{}"),
	}
}

func TestGolden_PidFile(t *testing.T) {
	rec, err := pidfile.Parse(golden(t, "pid"))
	must.NoError(t, err)
	must.Eq(t, pidfile.Record{
		PID: 5330, Cores: []int{0}, StartTime: 1461889, BootID: goldenBoot, SupervisorPID: 5326, SupervisorStartTime: 1461888,
	}, rec)
}

func TestGolden_HolderOfStateDir(t *testing.T) {
	h := readHolder(filepath.Join("testdata", "v1", "plugin.lock"))
	must.Eq(t, Holder{PID: 4847, Start: 1461048, ParentPID: 32004, ParentStart: 1451208, BootID: goldenBoot}, h)
}

// A later version may add keys; this one does not mind them.
func TestGolden_KeysOfALaterVersion(t *testing.T) {
	var raw map[string]any
	must.NoError(t, base.MsgPackDecode(golden(t, "handle.msgpack"), &raw))
	raw["to_come"] = map[string]any{"a": []int{1}}
	var data []byte
	must.NoError(t, base.MsgPackEncode(&data, raw))
	var h TaskState
	must.NoError(t, (&drivers.TaskHandle{DriverState: data}).GetDriverState(&h))
	must.NoError(t, h.Validate())
	must.Eq(t, 5330, h.PID)
	must.Eq(t, goldenAlloc, h.AllocID)

	must.NoError(t, json.Unmarshal(golden(t, "task.json"), &raw))
	raw["to_come"] = []any{1, "x"}
	data, err := json.Marshal(raw)
	must.NoError(t, err)
	details, err := DecodeDetails(data)
	must.NoError(t, err)
	must.Eq(t, "crash", details.JobID)
}

// FuzzTaskState feeds what Nomad might hand back as driver state.
func FuzzTaskState(f *testing.F) {
	if data, err := os.ReadFile("testdata/v1/handle.msgpack"); err == nil {
		f.Add(data)
	}
	f.Add([]byte{0x80})
	f.Add([]byte{0xc1, 1, 2})
	f.Add([]byte{0x82, 0xa7, 'v', 'e', 'r', 's', 'i', 'o', 'n', 1, 0xa5, 'c', 'o', 'r', 'e', 's', 0x91, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var h TaskState
		if err := (&drivers.TaskHandle{DriverState: data}).GetDriverState(&h); err != nil {
			return
		}
		if h.Validate() != nil {
			return
		}
		if _, err := ParseID(h.ID().String()); err != nil {
			t.Fatalf("valid, but its record is %v: %v", h.ID(), err)
		}
		_, _ = DecodeDetails(h.Details)
		// What is valid can be kept again.
		th := drivers.NewTaskHandle(TaskStateVersion)
		if err := th.SetDriverState(&h); err != nil {
			t.Fatal(err)
		}
	})
}
