// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"encoding/json"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/internal/names"
)

// maxIncludeNames bounds what a record keeps of the names of a deck's files, in bytes.
const maxIncludeNames = 12 << 10

// maxNameFilter is maxIncludeNames before base64.
const maxNameFilter = maxIncludeNames / 4 * 3

// Reads notes which files the deck of the run includes: their names, or, where these
// would take too much room, a filter that knows them.
func (r *Record) Reads(d deck.Deck) {
	r.Includes, r.Included = d.Includes, nil
	left := maxIncludeNames
	for _, name := range d.Includes {
		encoded, _ := json.Marshal(name) // a string
		if left -= len(encoded) + 1; left < 0 {
			r.Includes, r.Included = nil, names.NewFilter(d.Includes, maxNameFilter)
			return
		}
	}
}

// Lost returns a file that the record says the deck includes and that could not be
// opened now; "" where there is none. It may be away for a moment only, so its absence
// does not make another deck.
func (r Record) Lost(d deck.Deck) string {
	for _, name := range d.Away {
		if slices.Contains(r.Includes, name) || r.Included.Has(name) {
			return name
		}
	}
	return ""
}
