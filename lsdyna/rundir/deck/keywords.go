// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"bytes"
	"fmt"
	"strings"
)

// Keywords is what the keywords of a deck tell of its purpose. The deck of a small restart
// changes a run that a dump holds, above all its termination time, and has no model. That
// of a full restart has one, and says that the stresses come from the dump.
// Source: LS-DYNA keyword user's manual, volume I, "Restart analysis".
type Keywords struct {
	Model        string // the first keyword that defines a model, such as *NODE; "" for none
	FromStresses bool   // *STRESS_INITIALIZATION: a deck of a full restart
}

// Whole reports whether it is the deck of a run that begins with it, and not one that goes
// beside a dump. Where a file that it includes was not read that is supposed: decks of
// small restarts have no includes, as a rule.
func (d Deck) Whole() bool { return (d.Model != "" || d.Unread != "") && !d.FromStresses }

// Why says what makes a deck whole.
func (d Deck) Why() string {
	if d.Model != "" {
		return "it defines a model, with " + d.Model
	}
	return fmt.Sprintf("it may define a model, in %q, which cannot be read below the run folder", d.Unread)
}

// ofModel are the keywords without which there is no model; options follow behind "_".
var ofModel = []string{"*NODE", "*ELEMENT", "*PART", "*SECTION", "*MAT"}

const stressKeyword = "*STRESS_INITIALIZATION"

// note takes a line.
func (k *Keywords) note(line []byte) {
	if len(line) == 0 || line[0] != '*' || k.Model != "" && k.FromStresses {
		return
	}
	word := strings.ToUpper(string(line[:min(len(line), len(stressKeyword))]))
	if word == stressKeyword {
		k.FromStresses = true
	}
	if k.Model != "" {
		return
	}
	word, _, _ = strings.Cut(word, "_")
	// A sign behind the keyword says in which format its cards are.
	word = strings.TrimRight(word, " \t\r\n+-%")
	for _, keyword := range ofModel {
		if word == keyword {
			k.Model = strings.ToUpper(string(bytes.TrimRight(line[:min(len(line), maxKeyword)], " \t\r\n+-%")))
		}
	}
}

// maxKeyword is how much of a keyword is told.
const maxKeyword = 40
