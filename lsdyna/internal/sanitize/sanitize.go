// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package sanitize

import (
	"bytes"
	"strings"
)

// HideServers is a text without the names of licence servers: any host, where it
// speaks of licences at all, else what looks like port@host.
func HideServers(text string) string {
	switch {
	case containsAny(strings.ToLower(text), "license", "licence"):
		return HideHosts(text)
	case !strings.Contains(text, "@"):
		return text
	}
	words := strings.Fields(text)
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = Redacted
		}
	}
	return strings.Join(words, " ")
}

// HideHosts takes the names of licence servers out of a text, because it goes
// into events that more people see than know the server.
func HideHosts(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		bare := strings.Trim(word, ",.;:()'\"")
		afterServer := i > 0 && containsAny(strings.ToLower(words[i-1]), "server", "host", "@")
		switch {
		case strings.Contains(bare, "@"), strings.Contains(bare, ".") && !strings.Contains(bare, ".."), strings.Contains(bare, ":"), afterServer && !plainWord(bare):
			words[i] = Redacted
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

// Redacted stands for what was taken out.
const Redacted = "…"

// Line makes one printable line of bytes: runs of blanks become one, and
// what is neither ASCII nor valid UTF-8 becomes a question mark.
func Line(b []byte, limit int) string {
	out := make([]rune, 0, min(len(b), limit))
	size := 0
	for _, c := range string(b) {
		switch {
		case c == ' ' || c == '\t':
			if len(out) > 0 && out[len(out)-1] == ' ' {
				continue
			}
			c = ' '
		case c < ' ' || c == 0x7f || c == '\uFFFD' || (c >= 0x80 && c < 0xa0) || c == '\u2028' || c == '\u2029':
			c = '?'
		}
		if size += len(string(c)); size > limit {
			break
		}
		out = append(out, c)
	}
	return string(bytes.TrimSpace([]byte(string(out))))
}
