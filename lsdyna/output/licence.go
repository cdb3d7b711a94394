// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// licenceGranted takes the lines that prove a licence: ` Executing with ANSYS
// license`, ` Executing with LSTC network license` and ` Executing with LSTC
// local workstation license`.
func (r *Reader) licenceGranted(rest []byte) {
	f := &r.facts
	switch {
	case bytes.Contains(rest, []byte("ANSYS license")):
		f.LicenceKind = "ansys"
	case bytes.Contains(rest, []byte("network license")):
		f.LicenceKind = "network"
	case bytes.Contains(rest, []byte("local")) && bytes.Contains(rest, []byte("license")):
		f.LicenceKind = "local"
	default:
		return
	}
	f.onDeck(PhaseReading)
}

// queued and problem are the words by which a line about the licence is known for
// one about waiting, or about a problem.
var (
	queued  = []string{"waiting", "queue"}
	problem = []string{
		"error", "denied", "cannot", "can not", "could not", "fail", "not available", "unavailable", "no license", "invalid",
		"expired", "unable", "refuse", "insufficient", "not found", "exceed",
	}
)

// licenceProblem takes, as long as there is no licence, the lines about it. They
// prove nothing: most runs that print [license/error] go on.
func (r *Reader) licenceProblem(text []byte) {
	if text[0] == '*' || text[0] == '|' || !bytes.Contains(text, []byte("icense")) && !bytes.Contains(text, []byte("ICENSE")) {
		return
	}
	lower := strings.ToLower(sanitize.Line(text, maxFactText))
	if containsAny(lower, queued) {
		r.facts.LicenceWaiting = true
		r.facts.reach(PhaseLicence)
		return
	}
	if r.facts.LicenceTrouble == "" && containsAny(lower, problem) {
		r.facts.LicenceTrouble = sanitize.HideHosts(sanitize.Line(text, maxFactText))
	}
}

func containsAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}
