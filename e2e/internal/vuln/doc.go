// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package vuln tests that `make vuln` fails where a vulnerability applies, with databases
// of made-up ones: called has one of a function that a package of ours calls, in the layout
// of https://go.dev/doc/security/vuln/database; spared has entries alone, which do not apply.
package vuln
