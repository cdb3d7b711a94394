// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

//go:build cgo

package kerneltest

// WithGlibc reports whether glibc starts this program's threads. It takes every answer of
// clone3 but ENOSYS for the last word, so with the others no program of this build runs.
const WithGlibc = true
