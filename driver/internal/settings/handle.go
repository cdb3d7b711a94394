// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"fmt"

	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
)

// maxHandle bounds what Nomad keeps of a task and hands back to RecoverTask, in bytes: the
// task's configuration and the driver state. The message may have 4 MiB (gRPC's default,
// which go-plugin leaves as it is), and a task that does not fit in would be lost to Nomad
// with the first restart of its client. Some of it is left for how it is encoded.
const maxHandle = 4<<20 - 256<<10

// CheckHandle refuses a task that could not be recovered. details is what the driver
// state holds of it.
func (t *TaskSettings) CheckHandle(cfg *drivers.TaskConfig, details []byte) error {
	var config []byte
	if err := base.MsgPackEncode(&config, cfg); err != nil {
		return fmt.Errorf("encode task configuration: %w", err)
	}
	size := len(config) + len(details)
	for _, arg := range t.Args {
		size += len(arg)
	}
	if size > maxHandle {
		return fmt.Errorf("the task's environment and configuration are too large (%d KiB with what the driver keeps of the run): Nomad could not hand a running task of more than %d KiB back after a restart of its client; put large values into files",
			size>>10, maxHandle>>10)
	}
	return nil
}
