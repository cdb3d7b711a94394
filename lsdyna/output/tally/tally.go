// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package tally counts a solver's warnings by their kind: a run may print some hundred
// thousand of them, of a few kinds. It touches nothing.
package tally

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Kind is a kind of warning.
type Kind struct {
	Code  int    `json:"code"`  // e.g. 21129
	Class string `json:"class"` // KEY, STR, INI, SOL, IMP or OTH
	Text  string `json:"text"`  // of the first of its kind, in one line
	Count int64  `json:"count"`
}

// MaxKinds bounds the kinds that are counted. LS-DYNA's runs have a handful.
const MaxKinds = 32

// Tally counts. The zero value is empty.
type Tally struct {
	kinds []Kind
	now   int // 1 + the kind that was counted last; 0 none, or one that is not kept
}

// Count counts one of a kind, and reports whether it is the first, of which the text is
// wanted.
func (t *Tally) Count(code int, class string) (first bool) {
	for i := range t.kinds {
		if t.kinds[i].Code == code {
			t.kinds[i].Count++
			t.now = i + 1
			return false
		}
	}
	if len(t.kinds) == MaxKinds {
		t.now = 0
		return false
	}
	t.kinds = append(t.kinds, Kind{Code: code, Class: class, Count: 1})
	t.now = len(t.kinds)
	return true
}

// Text is where the text of the kind that was counted last is kept; nil where there is
// none.
func (t *Tally) Text() *string {
	if t.now == 0 {
		return nil
	}
	return &t.kinds[t.now-1].Text
}

// Top is the most frequent kinds, at most n, the most frequent first. They are the
// caller's.
func (t *Tally) Top(n int) []Kind {
	all := slices.Clone(t.kinds)
	slices.SortStableFunc(all, func(a, b Kind) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code)) })
	return all[:min(len(all), n)]
}

// Clone is a copy that does not change with the original.
func (t Tally) Clone() Tally {
	t.kinds = slices.Clone(t.kinds)
	return t
}

// tallyJSON is a tally as other processes are told it.
type tallyJSON struct {
	Kinds []Kind `json:"kinds"`
}

// MarshalJSON writes the kinds in the order in which they came.
func (t Tally) MarshalJSON() ([]byte, error) { return json.Marshal(tallyJSON{t.kinds}) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Tally) UnmarshalJSON(data []byte) error {
	var in tallyJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*t = Tally{kinds: in.Kinds[:min(len(in.Kinds), MaxKinds)]}
	return nil
}
