// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
)

// maxIncludeNames bounds what a record keeps of the names of a deck's files, in bytes.
const maxIncludeNames = 12 << 10

// Reads notes which files the deck of the run includes: their names, or, where these
// would take too much room, a filter that knows them.
func (r *Record) Reads(d deck.Deck) {
	r.Includes, r.Included = d.Includes, nil
	left := maxIncludeNames
	for _, name := range d.Includes {
		encoded, _ := json.Marshal(name) // a string
		if left -= len(encoded) + 1; left < 0 {
			r.Includes, r.Included = nil, newNameFilter(d.Includes)
			return
		}
	}
}

// Lost returns a file that the record says the deck includes and that could not be
// opened now; "" where there is none. It may be away for a moment only, so its absence
// does not make another deck.
func (r Record) Lost(d deck.Deck) string {
	for _, name := range d.Away {
		if slices.Contains(r.Includes, name) || r.Included.has(name) {
			return name
		}
	}
	return ""
}

// nameFilter is a Bloom filter of names: it knows each of them, and takes few others
// for one of them, three in a hundred where a deck has as many files as are read.
type nameFilter []byte

const (
	bitsOfName = 5  // that are set for each name
	roomOfName = 16 // bits, where there is room
)

// maxNameFilter is maxIncludeNames before base64.
const maxNameFilter = maxIncludeNames / 4 * 3

func newNameFilter(names []string) nameFilter {
	f := make(nameFilter, min(len(names)*roomOfName/8, maxNameFilter))
	for _, name := range names {
		for _, bit := range f.bits(name) {
			f[bit/8] |= 1 << (bit % 8)
		}
	}
	return f
}

func (f nameFilter) has(name string) bool {
	if len(f) == 0 {
		return false
	}
	for _, bit := range f.bits(name) {
		if f[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// bits is which bits are set for a name.
func (f nameFilter) bits(name string) (bits [bitsOfName]uint32) {
	sum := sha256.Sum256([]byte(name))
	for i := range bits {
		bits[i] = binary.LittleEndian.Uint32(sum[4*i:]) % uint32(8*len(f))
	}
	return bits
}
