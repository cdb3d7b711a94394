// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package peak

import (
	"os"
	"runtime"
	"testing"

	"github.com/shoenig/test/must"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// The memory of whoever asks does not count.
func TestOf(t *testing.T) {
	large := make([]byte, 128<<20)
	for i := range large {
		large[i] = byte(i)
	}
	out, small, err := Of(t.Context(), "/bin/sh", "-c", "echo yes; exit 3")
	must.NoError(t, err)
	must.Eq(t, "yes\n", out)
	must.Between(t, 100<<10, small, 64<<20)
	runtime.KeepAlive(large)

	_, most, err := Of(t.Context(), "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
	must.NoError(t, err)
	must.Between(t, 100<<20, most, 110<<20)

	_, _, err = Of(t.Context(), "/nowhere")
	must.ErrorContains(t, err, "/nowhere")
}
