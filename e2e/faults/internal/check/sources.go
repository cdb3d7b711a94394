// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"
)

// allocationInfo is what the API says of an allocation; its own Go package
// leaves out the reserved cores.
type allocationInfo struct {
	ID, JobID, NodeID, ClientStatus, DesiredStatus string
	TaskStates                                     map[string]struct {
		State     string
		Restarts  uint64
		StartedAt time.Time
		Events    []struct {
			Type, DisplayMessage string
			Time                 int64
			ExitCode, Signal     int
		}
	}
	AllocatedResources struct {
		Tasks map[string]struct{ Cpu struct{ ReservedCores []int } }
	}
}

// allocs asks Nomad for everything in one question.
func (o *Observer) allocs(ctx context.Context, w *World) error {
	var list []*allocationInfo
	query := (&api.QueryOptions{Params: map[string]string{"resources": "true", "task_states": "true"}}).WithContext(ctx)
	if _, err := o.Site.API.Raw().Query("/v1/allocations", &list, query); err != nil {
		return fmt.Errorf("list allocations: %w", err)
	}
	if o.ends == nil {
		o.ends = map[string]map[int64]End{}
	}
	for _, info := range list {
		if o.Site.Node != "" && info.NodeID != o.Site.Node {
			continue
		}
		w.Allocs = append(w.Allocs, o.alloc(info))
	}
	return nil
}

// alloc translates one allocation and keeps its ends.
func (o *Observer) alloc(info *allocationInfo) Alloc {
	a := Alloc{ID: info.ID, Job: info.JobID, Status: info.ClientStatus, Desired: info.DesiredStatus}
	for _, task := range info.AllocatedResources.Tasks {
		a.Reserved = task.Cpu.ReservedCores
	}
	ends := o.ends[a.ID]
	if ends == nil {
		ends = map[int64]End{}
		o.ends[a.ID] = ends
	}
	for _, task := range info.TaskStates {
		a.State, a.Restarts, a.Started = task.State, task.Restarts, task.StartedAt
		for _, e := range task.Events {
			a.Events = append(a.Events, e.Type+": "+e.DisplayMessage)
			if at := monotonic(time.Unix(0, e.Time)); at.After(a.Newest) {
				a.Newest = at
			}
			if _, known := ends[e.Time]; e.Type == api.TaskTerminated && !known {
				ends[e.Time] = End{At: monotonic(time.Unix(0, e.Time)), Code: e.ExitCode, Signal: e.Signal, Words: e.DisplayMessage}
			}
		}
	}
	a.Ends = slices.SortedFunc(maps.Values(ends), func(x, y End) int { return x.At.Compare(y.At) })
	return a
}

// monotonic is a time of the wall clock, as that is set now, by the clock that
// the witness's times can be compared with also when the other one has been set.
func monotonic(at time.Time) time.Time {
	now := time.Now()
	return now.Add(at.Sub(now.Round(0)))
}

// Records reads state_dir: tasks/<alloc>/<task>/<invocation>/pid.
func Records(stateDir string) (records []Record, err error) {
	root := filepath.Join(stateDir, "tasks")
	dirs, err := filepath.Glob(filepath.Join(root, "*", "*", "*"))
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	for _, dir := range dirs {
		below, err := filepath.Rel(root, dir)
		if err != nil {
			return nil, fmt.Errorf("list records: %w", err)
		}
		parts := strings.Split(below, "/")
		r := Record{Alloc: parts[0], Task: parts[1], Invocation: parts[2]}
		data, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil {
			r.parse(data)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read record: %w", err)
		}
		records = append(records, r)
	}
	return records, nil
}

// parse reads the two lines of a pid file. What is not as it should be leaves
// the fields empty.
func (r *Record) parse(data []byte) {
	first, second, _ := bytes.Cut(data, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil {
		return
	}
	r.PID = pid
	var line struct {
		Cores      *[]int `json:"cores"`
		StartTime  uint64 `json:"start_time"`
		BootID     string `json:"boot_id"`
		Supervisor int    `json:"supervisor_pid"`
	}
	if json.Unmarshal(second, &line) != nil {
		return
	}
	r.Start, r.Boot, r.Supervisor = line.StartTime, line.BootID, line.Supervisor
	if line.Cores != nil {
		r.Cores = append([]int{}, *line.Cores...)
	}
}
