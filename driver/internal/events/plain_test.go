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

// Nomad's UI breaks no words.
func TestBreakable(t *testing.T) {
	evens := func(last int) string {
		list := "0"
		for cpu := 2; cpu <= last; cpu += 2 {
			list += fmt.Sprint(",", cpu)
		}
		return list
	}
	for name, c := range map[string]struct{ text, want string }{
		"short lists stay as the kernel has them": {"Allocated cores 0-3,8,10 (6 cores, NUMA nodes 0,1)", "Allocated cores 0-3,8,10 (6 cores, NUMA nodes 0,1)"},
		"long ones get spaces":                    {"Allocated cores " + evens(62) + " (32 cores, NUMA node 0)", "Allocated cores " + strings.ReplaceAll(evens(62), ",", ", ") + " (32 cores, NUMA node 0)"},
		"once":                                    {strings.ReplaceAll(evens(62), ",", ", "), strings.ReplaceAll(evens(62), ",", ", ")},
		"a comma at a word's end":                 {evens(62) + ", and more", strings.ReplaceAll(evens(62), ",", ", ") + ", and more"},
		"names of files stay":                     {"in /scratch/" + strings.Repeat("a,", maxWord) + "b", "in /scratch/" + strings.Repeat("a,", maxWord) + "b"},
		"spaces stay":                             {"  a  " + strings.Repeat("-", maxWord+1) + "  ", "  a  " + strings.Repeat("-", maxWord+1) + "  "},
		"":                                        {"", ""},
	} {
		must.Eq(t, c.want, Breakable(c.text), must.Sprint(name))
	}
	must.Eq(t, strings.ReplaceAll(evens(62), ",", ", "), newHub(t).Redact(evens(62)))
}
