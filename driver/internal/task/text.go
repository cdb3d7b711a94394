// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Sentence starts a message with a capital, as Nomad's own events do.
func Sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// decodeOutputs reads what a record remembers of outputs that were there before
// the run.
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
