// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package settle is what happens in the folder of a run that is over, before Nomad hears
// how it ended: the last of the outputs, or what the leading node told, is read, and what
// later starts there go by is noted. A folder that does not answer, or fails, is waited for
// with patience, and all of it is done in the goroutine of the folder's watcher.
package settle
