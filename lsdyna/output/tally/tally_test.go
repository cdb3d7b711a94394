// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package tally

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestTally_mostFrequentFirst(t *testing.T) {
	var all Tally
	must.Nil(t, all.Text())
	for _, c := range []struct {
		code, times int
		text        string
	}{{10, 2, "ten"}, {20, 5, "twenty"}, {30, 2, "thirty"}, {40, 1, "forty"}} {
		for i := range c.times {
			must.Eq(t, i == 0, all.Count(c.code, "SOL"))
			if i == 0 {
				*all.Text() = c.text
			}
		}
	}
	must.Eq(t, []Kind{{20, "SOL", "twenty", 5}, {10, "SOL", "ten", 2}, {30, "SOL", "thirty", 2}}, all.Top(3))
	must.Len(t, 4, all.Top(10))
}

func TestTally_isBounded(t *testing.T) {
	var all Tally
	for code := range 10 * MaxKinds {
		all.Count(code, "KEY")
	}
	must.Len(t, MaxKinds, all.Top(1000))
	must.Nil(t, all.Text(), must.Sprint("of a kind that is not kept"))
	must.False(t, all.Count(0, "KEY"))
	must.Eq(t, 2, all.Top(1)[0].Count)
}

func TestTally_cloneIsAnother(t *testing.T) {
	var all Tally
	all.Count(1, "SOL")
	copied := all.Clone()
	all.Count(1, "SOL")
	*all.Text() = "changed"
	must.Eq(t, []Kind{{1, "SOL", "", 1}}, copied.Top(1))
}
