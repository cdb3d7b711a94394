// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package pages tests the pages about runs in a browser: it reads them as their user does.
// Where there is no chromium, that is skipped.
package pages
