// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

// What is taken from a run folder is as it was when it is put back.
func TestDoubts_ArePutBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, take := range map[string]func(*job) (string, func() error, error){
		"away":       func(j *job) (string, func() error, error) { return away(j, runRecord) },
		"unreadable": func(j *job) (string, func() error, error) { return unreadable(j, runRecord) },
		"damaged":    func(j *job) (string, func() error, error) { return damaged(j, rng) },
		"replaced":   func(j *job) (string, func() error, error) { return replaced(j, rng) },
	} {
		t.Run(name, func(t *testing.T) {
			j := &job{disk: filepath.Join(t.TempDir(), "run")}
			path := filepath.Join(j.disk, runRecord)
			must.NoError(t, os.Mkdir(j.disk, 0o755))
			must.NoError(t, os.WriteFile(path, []byte(`{"identity":{}}`), 0o644))
			before, err := os.Stat(path)
			must.NoError(t, err)
			if os.Geteuid() != 0 && name == "replaced" {
				t.Skip("gives files away")
			}
			_, putBack, err := take(j)
			must.NoError(t, err)
			must.NoError(t, putBack())
			after, err := os.Stat(path)
			must.NoError(t, err)
			must.True(t, os.SameFile(before, after))
			must.Eq(t, before.Mode(), after.Mode())
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			must.Eq(t, `{"identity":{}}`, string(data))
			left, err := filepath.Glob(filepath.Join(filepath.Dir(j.disk), "*"))
			must.NoError(t, err)
			must.Len(t, 1, left)
		})
	}
}

func TestCutBehind_LeavesTheLineOfTheDump(t *testing.T) {
	j := &job{disk: t.TempDir()}
	const line = " 276 t 2.3978E-02 dt 5.57E-05 write d3dump01 file\n"
	for _, name := range []string{"stdout", "messag"} {
		must.NoError(t, os.WriteFile(filepath.Join(j.disk, name), []byte("before\n"+line+"behind\n"), 0o644))
	}
	must.NoError(t, cutBehind(j, "d3dump01"))
	for _, name := range []string{"stdout", "messag"} {
		data, err := os.ReadFile(filepath.Join(j.disk, name))
		must.NoError(t, err)
		must.Eq(t, "before\n"+line, string(data))
	}
	must.Error(t, cutBehind(j, "d3dump02"))
}

func TestEndedBy(t *testing.T) {
	j := &job{name: "1-goes-on", alloc: "a", folder: "/runs/1"}
	end := func(run, at string, sig int) string {
		return fmt.Sprintf(`{"last_runs": [{"run": %q, "ended_at": %s, "signal": %d}, {"run": "a/lsdyna/02", "ended_at": null}]}`, run, at, sig)
	}
	const at = `"2026-01-01T00:00:00Z"`
	for name, c := range map[string]struct {
		answer string
		ok     bool
	}{
		"it is told":           {end("a/lsdyna/01", at, 9), true},
		"another allocation's": {end("b/lsdyna/01", at, 9), false},
		"by another signal":    {end("a/lsdyna/01", at, 15), false},
		"it has not ended":     {end("a/lsdyna/01", "null", 9), false},
		"nothing is told":      {`{"last_runs": null}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var lost *lostError
			err := endedBy([]byte(c.answer), j, syscall.SIGKILL)
			must.Eq(t, c.ok, err == nil)
			must.Eq(t, !c.ok, errors.As(err, &lost))
		})
	}
	must.Error(t, endedBy([]byte("[]"), j, syscall.SIGKILL))
}

func TestEventsSince(t *testing.T) {
	at := func(seconds int64) int64 { return time.Unix(seconds, 0).UnixNano() }
	alloc := &api.Allocation{TaskStates: map[string]*api.TaskState{"lsdyna": {Events: []*api.TaskEvent{
		{Type: "Driver", DisplayMessage: "The run is managed again", Time: at(1)},
		{Type: "Driver", DisplayMessage: "The run goes on, but is not managed yet", Time: at(3)},
		{Type: "Terminated", DisplayMessage: "Exit Code: 0", Time: at(4)},
	}}}}
	must.Eq(t, []string{"Driver: The run goes on, but is not managed yet"}, eventsSince(alloc, time.Unix(2, 0), " managed "))
	must.Len(t, 2, eventsSince(alloc, time.Time{}, "Driver: ", " managed "))
	must.SliceEmpty(t, eventsSince(alloc, time.Unix(2, 0), "Driver", "Exit"))
	must.SliceEmpty(t, eventsSince(&api.Allocation{}, time.Time{}))
}

// Nomad's own faults excuse a job that it gave up, and nothing that is lost beside it.
func TestUnlessGivenUp(t *testing.T) {
	lost := &lostError{[]check.Violation{{Rule: check.GoesOn}}}
	other := errors.New("another error")
	for _, c := range []struct{ err, want error }{
		{nil, nil}, {errGivenUp, nil}, {other, other}, {lost, lost}, {errors.Join(errGivenUp, lost), lost},
	} {
		inject := unlessGivenUp(func(context.Context, *campaign, *rand.Rand) (string, error) { return "a job", c.err })
		_, err := inject(t.Context(), nil, nil)
		if c.want == nil {
			must.NoError(t, err)
			continue
		}
		must.ErrorIs(t, err, c.want)
	}
}
