// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/checkconfig"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

// CheckConfig checks the configuration of an agent. main sets it to the driver's own
// check: commands know nothing of Nomad and of the driver's settings.
var CheckConfig func(context.Context, findings.Request) findings.Report

func runCheckConfig(ctx context.Context, args []string, s streams) error {
	fs := newFlags("check-config")
	call := checkconfig.Flags(fs)
	others, err := parse(fs, args)
	if err != nil {
		return err
	}
	request, err := call.Request(others)
	if err != nil {
		return usagef("%v", err)
	}
	report := CheckConfig(ctx, request)
	if call.JSON {
		err = writeJSON(s.out, report)
	} else {
		err = write(s.out, screen.Of(s.out).Render(checkconfig.Lines(report)))
	}
	if err == nil && len(report.Errors) > 0 {
		return errAnswerNo
	}
	return err
}
