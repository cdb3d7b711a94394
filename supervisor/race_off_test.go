// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

//go:build !race

package supervisor

const raceEnabled = false
