// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package sanitize

import (
	"bytes"
	"strings"
)

// Redacted stands for what was taken out of a text.
const Redacted = "…"

// HideServers takes the names of licence servers out of a text: any host where the
// text is about licences, else only what looks like port@host.
func HideServers(text string) string {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "license"), strings.Contains(lower, "licence"):
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

// HideHosts takes everything out of a text that may be the name of a host. It is
// for texts about licences: they go into events, which more people see than may
// know the server.
func HideHosts(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		bare := strings.Trim(word, ",.;:()'\"")
		switch {
		case strings.Contains(bare, "@"), strings.Contains(bare, ".") && !strings.Contains(bare, ".."), strings.Contains(bare, ":"):
			words[i] = Redacted
		case i > 0 && announcesHost(words[i-1]) && !plainWord(bare):
			words[i] = Redacted
		}
	}
	return strings.Join(words, " ")
}

// announcesHost reports whether the word after this one may be the name of a host.
func announcesHost(word string) bool {
	word = strings.ToLower(word)
	return strings.Contains(word, "server") || strings.Contains(word, "host") || strings.Contains(word, "@")
}

// plainWord reports whether a word that follows "server" is one of a sentence and
// no name.
func plainWord(word string) bool {
	switch strings.ToLower(word) {
	case "is", "was", "not", "cannot", "could", "has", "did", "does", "for", "on", "at", "or", "and", "error", "error:", "down", "failed", "refused", "timed", "=", "-", "":
		return true
	}
	return false
}

// Line makes one printable line of bytes, cut at limit bytes: runs of blanks become
// one, and what is neither ASCII nor valid UTF-8 becomes a question mark.
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

// longestHost is the length of a host's name with its port, in bytes.
const longestHost = 256

// Public is Line without the names of licence servers. They are looked for before the
// text is cut: the beginning of a name names the server, too.
func Public(text []byte, limit int) string {
	most := limit + longestHost
	line := Line(text, most)
	if i := strings.LastIndexByte(line, ' '); i >= 0 && len(text) > most {
		line = line[:i] // its last word was cut
	}
	return Line([]byte(HideServers(line)), limit)
}

// KeepFirst makes a line of the first text of its kind, without servers; the later ones
// follow from it.
func KeepFirst(kept *string, text []byte, limit int) {
	if *kept == "" {
		*kept = Public(text, limit)
	}
}
