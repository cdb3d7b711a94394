// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

//go:build !cgo

package kerneltest

// WithGlibc reports whether glibc starts this program's threads.
const WithGlibc = false
