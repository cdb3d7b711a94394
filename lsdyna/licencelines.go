// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"bytes"
	"strings"
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

// licenceNoise looks, before the licence is there, for words about its going
// wrong. They prove nothing: most runs that print [license/error] go on.
func (r *Reader) licenceNoise(text []byte) {
	if text[0] == '*' || text[0] == '|' || !bytes.Contains(text, []byte("icense")) && !bytes.Contains(text, []byte("ICENSE")) {
		return
	}
	lower := strings.ToLower(plainText(text, maxFactText))
	if containsAny(lower, "waiting", "queue") {
		r.facts.LicenceWaiting = true
		r.facts.reach(PhaseLicence)
		return
	}
	if r.facts.LicenceTrouble == "" && containsAny(lower, "error", "denied", "cannot", "can not", "could not", "fail", "not available",
		"unavailable", "no license", "invalid", "expired", "unable", "refuse", "insufficient", "not found", "exceed") {
		r.facts.LicenceTrouble = hideHosts(plainText(text, maxFactText))
	}
}

// discreet is a text without the names of licence servers: any host, where it
// speaks of licences at all, else what looks like port@host.
func discreet(text string) string {
	switch {
	case containsAny(strings.ToLower(text), "license", "licence"):
		return hideHosts(text)
	case !strings.Contains(text, "@"):
		return text
	}
	words := strings.Fields(text)
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = redacted
		}
	}
	return strings.Join(words, " ")
}

// hideHosts takes the names of licence servers out of a text, because it goes
// into events that more people see than know the server.
func hideHosts(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		bare := strings.Trim(word, ",.;:()'\"")
		afterServer := i > 0 && containsAny(strings.ToLower(words[i-1]), "server", "host", "@")
		switch {
		case strings.Contains(bare, "@"), strings.Contains(bare, ".") && !strings.Contains(bare, ".."), strings.Contains(bare, ":"), afterServer && !plainWord(bare):
			words[i] = redacted
		}
	}
	return strings.Join(words, " ")
}

// plainWord is true for the words that follow "server" in a sentence.
func plainWord(word string) bool {
	switch strings.ToLower(word) {
	case "is", "was", "not", "cannot", "could", "has", "did", "does", "for", "on", "at", "or", "and", "error", "error:", "down", "failed", "refused", "timed", "=", "-", "":
		return true
	}
	return false
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
