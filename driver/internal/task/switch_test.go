// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

func TestLookupSignal(t *testing.T) {
	for name, want := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGUSR1": syscall.SIGUSR1} {
		got, err := LookupSignal(name)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	for _, name := range []string{"", "TERM", "15", "sigterm", "SIGRT99"} {
		_, err := LookupSignal(name)
		must.Error(t, err, must.Sprint(name))
	}
	sig, err := StopSignal("")
	must.NoError(t, err)
	must.Eq(t, syscall.SIGTERM, sig)
}
