// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package events

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"
)

func TestRedact_isOnePrintableLine(t *testing.T) {
	h := newHub(t)
	must.Eq(t, "a ?[2Jb ?c?d é…", h.Redact("a \x1b[2Jb\n\u202ec\xffd é…"))
	must.Eq(t, "two; errors", PlainError{errors.Join(errors.New("two"), errors.New("errors"))}.Error())
	long := h.Redact(strings.Repeat("é", 5000))
	must.LessEq(t, maxText+len("…"), len(long))
	must.True(t, strings.HasSuffix(long, "é…"))
}

// Nomad looks at the outermost error alone.
func TestForNomad_RecoverableErrorsAreSoHoweverTheyAreWrapped(t *testing.T) {
	again := structs.NewRecoverableError(errors.New("later"), true)
	must.True(t, structs.IsRecoverable(ForNomad(fmt.Errorf("work_dir: %w", again))))
	must.EqError(t, ForNomad(fmt.Errorf("work_dir: %w", again)), "work_dir: later")
	must.False(t, structs.IsRecoverable(ForNomad(fmt.Errorf("work_dir: %w", structs.NewRecoverableError(errors.New("never"), false)))))
	must.False(t, structs.IsRecoverable(ForNomad(errors.New("never"))))
	must.NoError(t, ForNomad(nil))
}
