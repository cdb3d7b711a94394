// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package fortran reads numbers as the Fortran of LS-DYNA prints them.
package fortran
