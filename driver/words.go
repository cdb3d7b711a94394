// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// cpuList prints CPUs as the kernel does, "0-3,8", and none as "none".
func cpuList(cpus []int) string {
	if len(cpus) == 0 {
		return "none"
	}
	return cpuset.Of(cpus...).String()
}

// sentence starts a message with a capital, as Nomad's own events do.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

func decodeOutputs(data json.RawMessage) (rundir.Outputs, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var old rundir.Outputs
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, fmt.Errorf("decode old outputs: %w", err)
	}
	return old, nil
}
