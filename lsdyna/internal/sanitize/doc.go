// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package sanitize makes text from outside fit for events and reports: one
// printable line of bounded length, without the names of licence servers.
package sanitize
