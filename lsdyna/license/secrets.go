// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package license

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Secrets are the licence servers and files of the operator's configuration. They
// must not show in events and logs. The zero value hides nothing.
type Secrets struct {
	words []string // in lower case, the longest first
}

// NewSecrets collects the values of the licence variables LSTC_* and ANSYS* of
// environments, and the hosts that they name.
func NewSecrets(envs ...map[string]string) Secrets {
	var s Secrets
	for _, env := range envs {
		for name, value := range env {
			if strings.HasPrefix(name, "LSTC_") || strings.HasPrefix(name, "ANSYS") {
				s.add(value)
			}
		}
	}
	slices.SortFunc(s.words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	s.words = slices.Compact(s.words)
	return s
}

// add takes a value such as 31010@lic1.example:31010@lic2, as a whole and in parts.
// A kind of licence is no secret, nor is a port or a word that solvers print.
func (s *Secrets) add(value string) {
	value = lowerASCII(strings.TrimSpace(value))
	switch value {
	case "", "network", "local", "ansys":
		return
	}
	s.words = append(s.words, value)
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("@:,;", r) }) {
		s.addPart(part)
		if host, _, ok := strings.Cut(part, "."); ok && strings.Trim(host, "0123456789") != "" {
			s.addPart(host)
		}
	}
}

func (s *Secrets) addPart(part string) {
	if len(part) > 2 && strings.Trim(part, "0123456789") != "" && !ordinaryWord(part) {
		s.words = append(s.words, part)
	}
}

// ordinaryWord reports whether a name of a host is also a word of solvers'
// messages. Without it the messages could not be understood.
func ordinaryWord(word string) bool {
	switch word {
	case "license", "licence", "server", "localhost", "local", "network", "ansys", "lstc", "dyna", "lsdyna", "ls-dyna", "host":
		return true
	}
	return false
}

// Redact takes the secrets out of a text, in capitals or not, where they are words
// of their own.
func (s Secrets) Redact(text string) string {
	for _, word := range s.words {
		text = replaceWord(text, word)
	}
	return text
}

func replaceWord(text, word string) string {
	lower := lowerASCII(text)
	var out strings.Builder
	done := 0
	for from := 0; ; {
		i := strings.Index(lower[from:], word)
		if i < 0 {
			break
		}
		i += from
		end := i + len(word)
		if continues(lower, i-1, word[0]) || continues(lower, end, word[len(word)-1]) {
			from = i + 1
			continue
		}
		out.WriteString(text[done:i])
		out.WriteString(sanitize.Redacted)
		done, from = end, end
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// continues reports whether the byte at i makes the word next to it, which ends or
// begins with edge, a part of a longer one.
func continues(text string, i int, edge byte) bool {
	return i >= 0 && i < len(text) && alphanumeric(text[i]) && alphanumeric(edge)
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// lowerASCII does not move a byte, which strings.ToLower may do.
func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
