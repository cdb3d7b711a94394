// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
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

// Words by which a line about the licence is known for one that the solver has lost while
// it computes, or has back. Ansys's solvers try for about an hour to get it back.
var (
	lost = []string{
		"lost", "no longer", "timed out", "timeout", "time out", "time-out", "heartbeat", "not respond", "no response", "revoked", "expired",
		"connection to", "connection with", "reconnect", "re-connect", "renew", "reacquire",
	}
	regained = []string{"restored", "re-established", "reestablished", "reconnected", "reacquired", "renewed", "regained"}
)

// isOfLicence reports whether a line is about the licence.
func isOfLicence(text []byte) bool {
	return bytes.Contains(text, []byte("icense")) || bytes.Contains(text, []byte("ICENSE")) || bytes.Contains(text, []byte("icence"))
}

// licenceLost takes, of a solver that has its licence, the lines about its loss.
func (r *Reader) licenceLost(text []byte) {
	if text[0] == '*' || text[0] == '|' || !isOfLicence(text) {
		return
	}
	switch lower := strings.ToLower(sanitize.Line(text, maxFactText)); {
	case lines.HasAny(lower, regained) && !strings.Contains(lower, "not "):
		r.facts.LicenceLost = ""
	case lines.HasAny(lower, lost):
		r.facts.LicenceLost = sanitize.HideHosts(sanitize.Line(text, maxFactText))
	}
}

// lostLicence is what says that the run lost its licence, and did not get it back; "" for
// nothing.
func (s Snapshot) lostLicence() string {
	if s.LicenceLost != "" || s.FirstError == nil || !s.LicenceGranted || s.StudentLimit {
		return s.LicenceLost
	}
	if text := s.FirstError.Text; isOfLicence([]byte(text)) && lines.HasAny(strings.ToLower(text), lost) {
		return s.FirstError.String()
	}
	return ""
}

// licenceProblem takes, as long as there is no licence, the lines about it. They
// prove nothing: most runs that print [license/error] go on.
func (r *Reader) licenceProblem(text []byte) {
	if text[0] == '*' || text[0] == '|' || !isOfLicence(text) {
		return
	}
	lower := strings.ToLower(sanitize.Line(text, maxFactText))
	if lines.HasAny(lower, queued) {
		r.facts.LicenceWaiting = true
		r.facts.reach(PhaseLicence)
		return
	}
	if r.facts.LicenceTrouble == "" && lines.HasAny(lower, problem) {
		r.facts.LicenceTrouble = sanitize.HideHosts(sanitize.Line(text, maxFactText))
	}
}
