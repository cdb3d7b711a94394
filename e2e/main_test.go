// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
)

// The test binary plays the processes behind a file system that hangs.
func TestMain(m *testing.M) {
	hangfs.Main()
	os.Exit(m.Run())
}
