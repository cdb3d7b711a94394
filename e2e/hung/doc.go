// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package hung tests packages of the driver against a run folder whose file system
// hangs, without an agent. It needs root and FUSE.
package hung
