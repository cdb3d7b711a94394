// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{"": "", "the run": "The run", "Stopped": "Stopped", "été": "Été", "3 files": "3 files"} {
		must.Eq(t, want, Sentence(text))
	}
}
