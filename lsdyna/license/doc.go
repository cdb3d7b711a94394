// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package license says where LS-DYNA gets its licences: the variables by which
// the solver finds them, a question to the licence server before a start, and
// what must not show where others read it.
//
// It reads and writes no file. [Check] runs one program, lstc_qrun, with an
// environment of its own and for as long as its context allows.
package license
