// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

// reason says in words why these units.
func (g *grid) reason(picked, free *bitmap, t *tier, opts Options) string {
	return t.note
}
