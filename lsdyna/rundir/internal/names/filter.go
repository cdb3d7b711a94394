// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package names has a filter of file names that takes little room in a record.
package names

import (
	"crypto/sha256"
	"encoding/binary"
)

// Filter is a Bloom filter of names: it knows each of them, and takes few others
// for one of them, three in a hundred where a deck has as many files as are read.
type Filter []byte

const (
	bitsOfName = 5  // that are set for each name
	roomOfName = 16 // bits, where there is room
)

// NewFilter makes a filter of names, of so many bytes at most.
func NewFilter(names []string, most int) Filter {
	f := make(Filter, min(len(names)*roomOfName/8, most))
	for _, name := range names {
		for _, bit := range f.bits(name) {
			f[bit/8] |= 1 << (bit % 8)
		}
	}
	return f
}

// Has reports whether a name is one of them, or is taken for one.
func (f Filter) Has(name string) bool {
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
func (f Filter) bits(name string) (bits [bitsOfName]uint32) {
	sum := sha256.Sum256([]byte(name))
	for i := range bits {
		bits[i] = binary.LittleEndian.Uint32(sum[4*i:]) % uint32(8*len(f))
	}
	return bits
}
