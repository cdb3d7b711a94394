// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// Submit registers the job written in HCL, with values for its input variables
// as lines of HCL, and returns its id.
func (a *Agent) Submit(ctx context.Context, jobHCL, variables string) (string, error) {
	job, err := a.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: jobHCL, Variables: variables, Canonicalize: true})
	if err != nil {
		return "", fmt.Errorf("parse job: %w", err)
	}
	if _, _, err := a.API.Jobs().Register(job, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return "", fmt.Errorf("register job %s: %w", *job.ID, err)
	}
	return *job.ID, nil
}

// Run submits a job of one allocation and returns the allocation's id once it is placed.
func (a *Agent) Run(ctx context.Context, jobHCL string) (allocID string, err error) {
	job, err := a.Submit(ctx, jobHCL, "")
	if err != nil {
		return "", err
	}
	allocs, err := a.WaitPlaced(ctx, job, 1)
	if err != nil {
		return "", err
	}
	return allocs[0].ID, nil
}

// WaitPlaced waits until the job has at least n allocations, the newest first.
func (a *Agent) WaitPlaced(ctx context.Context, job string, n int) (allocs []*api.AllocationListStub, err error) {
	err = Poll(ctx, fmt.Sprintf("%d allocations of job %s", n, job), func() (bool, string, error) {
		opts := (&api.QueryOptions{Params: map[string]string{"reverse": "true"}}).WithContext(ctx)
		allocs, _, err = a.API.Jobs().Allocations(job, true, opts)
		if err != nil || len(allocs) < n {
			return false, fmt.Sprintf("%d allocations, error %v, %s", len(allocs), err, a.placementFailure(job)), nil
		}
		return true, "", nil
	})
	return allocs, err
}

// placementFailure says why the scheduler could not place the job.
func (a *Agent) placementFailure(job string) string {
	evals, _, err := a.API.Jobs().Evaluations(job, nil)
	if err != nil {
		return err.Error()
	}
	for _, e := range evals {
		for group, m := range e.FailedTGAllocs {
			return fmt.Sprintf("group %s not placed: exhausted %v, filtered %v", group, m.DimensionExhausted, m.ConstraintFiltered)
		}
	}
	return fmt.Sprintf("%d evaluations", len(evals))
}

// A Condition looks at an allocation and says in words what it sees.
type Condition func(*api.Allocation) (holds bool, seen string)

// WaitAlloc waits until all the conditions hold for the allocation. While the
// agent is unreachable they do not.
func (a *Agent) WaitAlloc(ctx context.Context, id string, conditions ...Condition) (*api.Allocation, error) {
	var alloc *api.Allocation
	err := Poll(ctx, "allocation "+id, func() (bool, string, error) {
		var err error
		alloc, _, err = a.API.Allocations().Info(id, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return false, err.Error(), nil
		}
		for _, holds := range conditions {
			if ok, seen := holds(alloc); !ok {
				return false, seen + "\n" + DescribeAlloc(alloc), nil
			}
		}
		return true, "", nil
	})
	return alloc, err
}

// ClientStatus holds when the allocation is in this state: api.AllocClientStatusRunning, ….
func ClientStatus(want string) Condition {
	return func(alloc *api.Allocation) (bool, string) {
		return alloc.ClientStatus == want, fmt.Sprintf("client status %s, not %s", alloc.ClientStatus, want)
	}
}

// TaskState holds when the task is "pending", "running" or "dead".
func TaskState(task, want string) Condition {
	return func(alloc *api.Allocation) (bool, string) {
		state := alloc.TaskStates[task]
		if state == nil {
			return false, "task " + task + " has no state yet"
		}
		return state.State == want, fmt.Sprintf("task %s is %s, not %s", task, state.State, want)
	}
}

// TaskEvent holds when an event of the task has the text in its message. Nomad
// keeps the last ten events.
func TaskEvent(task, text string) Condition {
	return func(alloc *api.Allocation) (bool, string) {
		for _, message := range Events(alloc, task) {
			if strings.Contains(message, text) {
				return true, ""
			}
		}
		return false, fmt.Sprintf("task %s has no event with %q", task, text)
	}
}

// Restarts holds when Nomad has restarted the task at least this often.
func Restarts(task string, atLeast uint64) Condition {
	return func(alloc *api.Allocation) (bool, string) {
		state := alloc.TaskStates[task]
		if state == nil {
			return false, "task " + task + " has no state yet"
		}
		return state.Restarts >= atLeast, fmt.Sprintf("%d restarts", state.Restarts)
	}
}

// Events returns the task's event messages, as operators see them, oldest first.
func Events(alloc *api.Allocation, task string) []string {
	state := alloc.TaskStates[task]
	if state == nil {
		return nil
	}
	messages := make([]string, 0, len(state.Events))
	for _, e := range state.Events {
		messages = append(messages, e.Type+": "+e.DisplayMessage)
	}
	return messages
}

// Exit returns the exit code and signal of the task's last end, from its last
// Terminated event.
func Exit(alloc *api.Allocation, task string) (code, signal int, err error) {
	state := alloc.TaskStates[task]
	if state == nil {
		return 0, 0, fmt.Errorf("task %s has no state", task)
	}
	for _, e := range slices.Backward(state.Events) {
		if e.Type == api.TaskTerminated {
			return e.ExitCode, e.Signal, nil
		}
	}
	return 0, 0, fmt.Errorf("task %s has not terminated: %s", task, DescribeAlloc(alloc))
}

// DescribeAlloc tells everything of an allocation that explains a failed wait.
func DescribeAlloc(alloc *api.Allocation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "allocation %s of job %s on %s: %s (%s), desired %s\n",
		alloc.ID, alloc.JobID, alloc.NodeName, alloc.ClientStatus, alloc.ClientDescription, alloc.DesiredStatus)
	for task, state := range alloc.TaskStates {
		fmt.Fprintf(&b, "  task %s: %s, failed %t, restarts %d\n", task, state.State, state.Failed, state.Restarts)
		for _, message := range Events(alloc, task) {
			fmt.Fprintf(&b, "    %s\n", message)
		}
	}
	return b.String()
}

// StopJob deregisters the job, or purges it, and waits until its tasks have ended. Of a
// purged job Nomad may forget the allocations as soon as that is so.
func (a *Agent) StopJob(ctx context.Context, job string, purge bool) error {
	allocs, _, err := a.API.Jobs().Allocations(job, true, nil)
	if err != nil {
		return fmt.Errorf("allocations of job %s: %w", job, err)
	}
	if _, _, err := a.API.Jobs().Deregister(job, purge, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("stop job %s: %w", job, err)
	}
	for _, stub := range allocs {
		err := Poll(ctx, "the end of allocation "+stub.ID, func() (bool, string, error) {
			alloc, _, err := a.API.Allocations().Info(stub.ID, (&api.QueryOptions{}).WithContext(ctx))
			if err != nil {
				status, answered := errors.AsType[api.UnexpectedResponseError](err)
				return purge && answered && status.StatusCode() == http.StatusNotFound, err.Error(), nil
			}
			over, seen := Terminal(alloc)
			return over, seen, nil
		})
		if err != nil {
			return fmt.Errorf("stop job %s: %w", job, err)
		}
	}
	return nil
}

// Terminal holds when none of the allocation's tasks will run again.
func Terminal(alloc *api.Allocation) (bool, string) {
	switch alloc.ClientStatus {
	case api.AllocClientStatusComplete, api.AllocClientStatusFailed, api.AllocClientStatusLost:
		return true, ""
	}
	return false, "client status " + alloc.ClientStatus
}

// stopAllJobs stops what the cluster still runs.
func (a *Agent) stopAllJobs(ctx context.Context) error {
	jobs, _, err := a.API.Jobs().List((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	var errs []error
	for _, j := range jobs {
		if j.Status != "dead" {
			errs = append(errs, a.StopJob(ctx, j.ID, false))
		}
	}
	return errors.Join(errs...)
}

// AllocDir is the allocation's directory on disk.
func (a *Agent) AllocDir(allocID string) string { return a.Path("data", "alloc", allocID) }

// TaskDir is the task's directory on disk.
func (a *Agent) TaskDir(allocID, task string) string { return a.Path("data", "alloc", allocID, task) }

// TaskLog returns what Nomad has collected of the task's "stdout" or "stderr".
func (a *Agent) TaskLog(ctx context.Context, allocID, task, stream string) (string, error) {
	alloc, _, err := a.API.Allocations().Info(allocID, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("log of task %s: %w", task, err)
	}
	content, err := a.API.AllocFS().Cat(alloc, fmt.Sprintf("alloc/logs/%s.%s.0", task, stream), nil)
	if err != nil {
		return "", fmt.Errorf("log of task %s: %w", task, err)
	}
	defer func() { _ = content.Close() }()
	text, err := io.ReadAll(content)
	if err != nil {
		return "", fmt.Errorf("log of task %s: %w", task, err)
	}
	return string(text), nil
}
