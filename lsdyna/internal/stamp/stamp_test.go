// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package stamp

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestWall_countsLikeTheCalendar(t *testing.T) {
	at := func(date, clock string) int64 {
		n, ok := Wall([]byte(date), []byte(clock))
		must.True(t, ok, must.Sprint(date, clock))
		return n
	}
	must.Eq(t, 1709164800, at("02/29/24", "00:00:00"))
	must.Eq(t, 1709251200, at("03/01/24", "00:00:00"))
	must.Eq(t, 1735689599, at("12/31/24", "23:59:59"))
	for _, bad := range [][2]string{{"13/01/24", "00:00:00"}, {"01/00/24", "00:00:00"}, {"01/01/24", "24:00:00"}, {"01-01-24", "00:00:00"}, {"1/1/24", "0:0:0"}} {
		_, ok := Wall([]byte(bad[0]), []byte(bad[1]))
		must.False(t, ok, must.Sprint(bad))
	}
}
