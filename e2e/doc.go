// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package e2e tests the driver with real Nomad agents: `make e2e` on this
// machine, `make e2e-vm` the tests named TestVM… on a two-node machine in QEMU.
//
// The agents are run by internal/cluster, processes are looked at by
// internal/proc, file systems that hang are mounted by internal/hangfs. nomad/ pins
// and builds Nomad, vm/ boots the machine, demo/ is `make demo`.
//
// Without the binaries (or LSDYNA_E2E_BIN, the directory they are in) the tests
// skip, so that `go test ./...` works on a fresh clone; with
// LSDYNA_E2E_REQUIRED=1, which make sets, they fail instead.
package e2e
