// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

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
