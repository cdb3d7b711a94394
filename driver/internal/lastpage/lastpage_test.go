// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lastpage

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// What a page is made of can be anything; that it cannot be made ends nothing else.
func TestGuarded(t *testing.T) {
	err := guarded(func(*rundir.Folder) error {
		var none []int
		return errors.New(string(rune(none[1])))
	})(nil)
	must.ErrorContains(t, err, "index out of range [1] with length 0")
	must.ErrorContains(t, err, "lastpage_test.go")
	full := errors.New("no space left on device")
	must.ErrorIs(t, guarded(func(*rundir.Folder) error { return full })(nil), full)
	must.NoError(t, guarded(func(*rundir.Folder) error { return nil })(nil))
}
