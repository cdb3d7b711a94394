// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// endPatience is how long a single process may take to go after SIGKILL.
const endPatience = 10 * time.Second

// EndProcess kills one process, if it still is the one that was recorded, and
// waits until it is gone.
func EndProcess(id procfs.Identity) error {
	fd, err := proctree.OpenPidfd(id.PID)
	if err != nil {
		return fmt.Errorf("end process %d: %w", id.PID, err)
	}
	defer func() { _ = syscall.Close(fd) }()
	w, alive := watchProcess(id)
	if !alive {
		return nil
	}
	defer w.close()
	if err := proctree.SendPidfd(fd, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end process %d: %w", id.PID, err)
	}
	select {
	case <-w.end:
		return nil
	case <-time.After(endPatience):
		return fmt.Errorf("end process %d: it is still there after SIGKILL", id.PID)
	}
}
