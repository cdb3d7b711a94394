// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package verdict

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Result tells Nomad the truth about an outcome: LS-DYNA exits with 0 on
// errors too, so its code never makes a success.
func Result(o output.Outcome, exit output.Exit) *drivers.ExitResult {
	r := &drivers.ExitResult{ExitCode: exit.Code, Signal: exit.Signal, OOMKilled: exit.OOMKilled}
	if exit.Signal != 0 {
		r.ExitCode = 128 + exit.Signal
	}
	if !exit.Known {
		r.ExitCode = -1
	}
	if o.Success() && exit.Known && r.ExitCode == 0 && !exit.OOMKilled {
		return r
	}
	if r.ExitCode == 0 {
		r.ExitCode = 1
	}
	const unknown = "exit status unknown"
	reason := o.Reason
	if !exit.Known && !strings.Contains(reason, unknown) {
		reason = fmt.Sprintf("%s; %s", unknown, reason)
	}
	r.Err = errors.New(reason)
	return r
}
