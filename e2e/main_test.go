// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/peak"
)

// The test binary plays the processes behind a file system that hangs, and those that measure others.
func TestMain(m *testing.M) {
	hangfs.Main()
	peak.Main()
	os.Exit(m.Run())
}
