// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package house holds the rules of the repository that no linter knows: nothing
// depends on a path of one machine, and links between the documents lead somewhere. `make check` runs them; they only read. All
// other rules are in .golangci.yml.
package house
