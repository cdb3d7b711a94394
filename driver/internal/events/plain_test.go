// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"errors"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestRedact_isOnePrintableLine(t *testing.T) {
	h := newHub(t)
	must.Eq(t, "a ?[2Jb ?c?d é…", h.Redact("a \x1b[2Jb\n\u202ec\xffd é…"))
	must.Eq(t, "two lines", PlainError{errors.New("two\nlines")}.Error())
	long := h.Redact(strings.Repeat("é", 5000))
	must.LessEq(t, maxText+len("…"), len(long))
	must.True(t, strings.HasSuffix(long, "é…"))
}
