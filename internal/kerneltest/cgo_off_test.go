// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

//go:build !cgo

package kerneltest

const withGlibc = false
