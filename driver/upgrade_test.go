// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/identity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// goldenV1 is where files of version 1 are kept for ever.
const goldenV1 = "../state/testdata/v1"

// formerRun is the record of a run that a former version of the plugin started,
// and the handle that Nomad has of it.
type formerRun struct {
	n      *node
	dir    string // record
	handle *drivers.TaskHandle
	id     string
}

// newFormerRun puts the record into the state_dir of a node whose plugin is down.
func newFormerRun(t *testing.T) *formerRun {
	t.Helper()
	n := newNode(t)
	n.stop()
	th := drivers.NewTaskHandle(1)
	var err error
	th.DriverState, err = os.ReadFile(filepath.Join(goldenV1, "handle.msgpack"))
	must.NoError(t, err)
	var h state.TaskState
	must.NoError(t, th.GetDriverState(&h))
	th.Config = &drivers.TaskConfig{ID: h.TaskID, AllocID: h.AllocID, Name: h.Task}
	f := &formerRun{n: n, dir: filepath.Join(n.config.StateDir, "tasks", h.TaskID), handle: th, id: h.TaskID}
	must.NoError(t, os.MkdirAll(f.dir, 0o700))
	for _, name := range []string{"pid", "spec.json", "exit.json", "task.json"} {
		data, err := os.ReadFile(filepath.Join(goldenV1, name))
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(filepath.Join(f.dir, name), data, 0o600))
	}
	must.NoError(t, os.WriteFile(filepath.Join(f.dir, "lock"), nil, 0o600))
	return f
}

// edit changes keys of one of the record's JSON files.
func (f *formerRun) edit(name string, keys map[string]any) {
	f.n.t.Helper()
	path := filepath.Join(f.dir, name)
	data, err := os.ReadFile(path)
	must.NoError(f.n.t, err)
	first, line := []byte(nil), data
	if name == "pid" {
		first, line, _ = bytes.Cut(data, []byte("\n"))
		first = append(first, '\n')
	}
	var object map[string]any
	decode := json.NewDecoder(bytes.NewReader(line))
	decode.UseNumber()
	must.NoError(f.n.t, decode.Decode(&object))
	maps.Copy(object, keys)
	line, err = json.Marshal(object)
	must.NoError(f.n.t, err)
	must.NoError(f.n.t, os.WriteFile(path, append(first, line...), 0o600))
}

// editHandle changes keys of the driver state.
func (f *formerRun) editHandle(keys map[string]any) {
	f.n.t.Helper()
	var object map[string]any
	must.NoError(f.n.t, base.MsgPackDecode(f.handle.DriverState, &object))
	maps.Copy(object, keys)
	f.handle.DriverState = nil
	must.NoError(f.n.t, base.MsgPackEncode(&f.handle.DriverState, object))
}

// result launches this version of the plugin and recovers the run.
func (f *formerRun) result() *drivers.ExitResult {
	f.n.t.Helper()
	f.n.launch()
	must.NoError(f.n.t, f.n.RecoverTask(f.handle))
	r := &run{n: f.n, t: f.n.t, id: f.id}
	result := r.wait()
	must.Eq(f.n.t, f.n.cores.Managed(), f.n.free())
	return result
}

func TestUpgrade_RecordsOfAFormerVersion(t *testing.T) {
	t.Parallel()
	later := map[string]any{"to_come": map[string]any{"a": []int{1, 2}}}
	for name, c := range map[string]struct {
		change func(f *formerRun)
		known  bool
		says   string
	}{
		"as they are": {func(*formerRun) {}, true, "outputs unreadable"}, // its run folder is gone
		"with keys of a later version": {func(f *formerRun) {
			for _, name := range []string{"pid", "spec.json", "exit.json", "task.json"} {
				f.edit(name, later)
			}
			f.editHandle(later)
		}, true, "outputs unreadable"},
		"without its exit": {
			func(f *formerRun) { must.NoError(f.n.t, os.Remove(filepath.Join(f.dir, "exit.json"))) },
			false, "host rebooted, solver lost",
		},
		"the handle alone": {
			func(f *formerRun) { must.NoError(f.n.t, os.RemoveAll(filepath.Dir(f.dir))) },
			false, "host rebooted, solver lost",
		},
		"the handle and an empty record": {func(f *formerRun) {
			for _, name := range []string{"pid", "spec.json", "exit.json", "task.json", "lock"} {
				must.NoError(f.n.t, os.Remove(filepath.Join(f.dir, name)))
			}
		}, false, "host rebooted, solver lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFormerRun(t)
			c.change(f)
			result := f.result()
			must.False(t, result.Successful())
			must.ErrorContains(t, result.Err, c.says)
			if c.known {
				must.Eq(t, 1, result.ExitCode) // 0, and no word of success
			} else {
				must.Eq(t, -1, result.ExitCode)
			}
			must.NoError(t, f.n.DestroyTask(f.id, false))
		})
	}
}

// What a newer version wrote is refused in words and left as it is, so that the
// newer version, installed again, finds it.
func TestUpgrade_RecordsOfANewerVersionStayAsTheyAre(t *testing.T) {
	t.Parallel()
	newer := map[string]any{"version": 2}
	for _, name := range []string{"spec.json", "exit.json", "task.json"} {
		t.Run(name, func(t *testing.T) {
			f := newFormerRun(t)
			f.edit(name, newer)
			before, err := os.ReadFile(filepath.Join(f.dir, name))
			must.NoError(t, err)
			result := f.result()
			must.False(t, result.Successful())
			if name == "exit.json" {
				must.Eq(t, -1, result.ExitCode) // not invented
			}
			f.n.restart() // which looks through the records for stale ones
			after, err := os.ReadFile(filepath.Join(f.dir, name))
			must.NoError(t, err)
			must.Eq(t, string(before), string(after))
		})
	}
	t.Run("handle", func(t *testing.T) {
		f := newFormerRun(t)
		f.editHandle(newer)
		f.n.launch()
		must.ErrorContains(t, f.n.RecoverTask(f.handle), "newer version of the plugin; install that version again or stop the task")
		must.FileExists(t, filepath.Join(f.dir, "exit.json"))
	})
	for name, read := range map[string]func(dir string) error{
		"spec.json": func(dir string) error { _, err := supervisor.ReadSpec(dir); return err },
		"exit.json": func(dir string) error { _, err := supervisor.ReadExit(dir); return err },
	} {
		f := newFormerRunFiles(t, name)
		must.ErrorContains(t, read(f), "version 2 is not one this program knows")
	}
}

// newFormerRunFiles is a folder with one file that a newer version wrote.
func newFormerRunFiles(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(goldenV1, name))
	must.NoError(t, err)
	newer := bytes.Replace(data, []byte(`"version":1`), []byte(`"version":2`), 1)
	must.NotEq(t, string(data), string(newer))
	must.NoError(t, os.WriteFile(filepath.Join(dir, name), newer, 0o600))
	return dir
}

// Each field means what it meant: a renamed key would read as zero.
func TestUpgrade_GoldenSpecAndExit(t *testing.T) {
	spec, err := supervisor.ReadSpec(goldenV1)
	must.NoError(t, err)
	must.Eq(t, &supervisor.Spec{
		Version: 1, TaskID: "9b2f6a53-7c1e-4a08-b0a4-5d1c0f3e8a77/solve/fd73c814",
		Command: "/opt/lsdyna/version-1/solvers/r14/standin_smp_d_R14", Args: []string{"i=main.k", "ncpu=1", "memory=33554432"},
		Dir:     "/srv/nomad-driver-lsdyna/scratch/case/run-3523382692",
		User:    supervisor.User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent", Groups: []int{65534}},
		Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone},
		Limits:  supervisor.Limits{MemoryMax: 512 << 20, CPUShares: 100, CPUWeight: 17},
		CPUs:    []int{0}, StdoutName: "stdout", StderrName: "stderr",
	}, spec)
	exit, err := supervisor.ReadExit(goldenV1)
	must.NoError(t, err)
	must.Eq(t, 5330, exit.PID)
	must.Eq(t, 1461889, exit.StartTime)
	must.Eq(t, 0, exit.Code)
	must.Eq(t, 16932000, exit.Rusage.UserTime.Nanoseconds())
	must.Eq(t, 26419200, exit.Rusage.MaxRSSBytes)
	must.False(t, exit.FinishedAt.IsZero())
}

// A run that a former version stopped goes on from its dump.
func TestUpgrade_GoldenRunRecord(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(goldenV1, "lsdyna-run.json"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, rundir.RecordFile), data, 0o644))
	folder, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	defer folder.Close()
	recorded, err := folder.ReadRecord()
	must.NoError(t, err)
	must.Eq(t, identity.Identity{
		Deck:   "1f3e54982a6e88e260cc98d6e9a749541cf39ece393ce466fd6e4c6046584e35",
		Solver: "standin_smp_d_R14:5232446", Parallel: lsdyna.SMP, Precision: lsdyna.Double, Processors: 1, Ranks: 1,
	}, recorded.Identity)
	must.False(t, recorded.Started.IsZero())
}
