// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

//go:build cgo

package kerneltest

// withGlibc: glibc starts threads, and takes every answer of clone3 but ENOSYS for the last word.
const withGlibc = true
