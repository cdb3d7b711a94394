// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package verdict

import (
	"errors"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestResult(t *testing.T) {
	completed := output.Outcome{Kind: output.Completed, Reason: "normal termination"}
	failed := output.Outcome{Kind: output.Failed, Reason: "error termination"}
	for name, c := range map[string]struct {
		outcome output.Outcome
		exit    output.Exit
		want    drivers.ExitResult
	}{
		"completed":                     {completed, output.Exit{Known: true}, drivers.ExitResult{}},
		"error termination with exit 0": {failed, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("error termination")}},
		"error termination":             {failed, output.Exit{Known: true, Code: 3}, drivers.ExitResult{ExitCode: 3, Err: errors.New("error termination")}},
		"stopped":                       {output.Outcome{Kind: output.Stopped, Reason: "stopped"}, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("stopped")}},
		"signal":                        {failed, output.Exit{Known: true, Code: 137, Signal: 9}, drivers.ExitResult{ExitCode: 137, Signal: 9, Err: errors.New("error termination")}},
		"out of memory":                 {failed, output.Exit{Known: true, Signal: 9, OOMKilled: true}, drivers.ExitResult{ExitCode: 137, Signal: 9, OOMKilled: true, Err: errors.New("error termination")}},
		"completed, then out of memory": {completed, output.Exit{Known: true, OOMKilled: true}, drivers.ExitResult{ExitCode: 1, OOMKilled: true, Err: errors.New("normal termination")}},
		"completed, but an exit code":   {completed, output.Exit{Known: true, Code: 2}, drivers.ExitResult{ExitCode: 2, Err: errors.New("normal termination")}},
		"completed, but nobody saw it":  {completed, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("exit status unknown; normal termination")}},
		"nothing known, and said so":    {output.Outcome{Kind: output.Unknown, Reason: "exit status unknown, and LS-DYNA printed no end"}, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("exit status unknown, and LS-DYNA printed no end")}},
		"nothing known, rebooted":       {output.Outcome{Kind: output.Unknown, Reason: "host rebooted, solver lost; last known: exit status unknown"}, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("host rebooted, solver lost; last known: exit status unknown")}},
		"nothing known":                 {output.Outcome{Kind: output.Unknown, Reason: "?"}, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("exit status unknown; ?")}},
		"exit 0, but LS-DYNA is silent": {output.Outcome{Kind: output.Unknown, Reason: "?"}, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("?")}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Result(c.outcome, c.exit)
			if c.want.Err == nil {
				must.NoError(t, got.Err)
				must.True(t, got.Successful())
			} else {
				must.EqError(t, got.Err, c.want.Err.Error())
				must.False(t, got.Successful())
			}
			got.Err, c.want.Err = nil, nil
			must.Eq(t, c.want, *got)
		})
	}
}
