// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package license

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Secrets are what must not show where others read it: where solvers get their
// licences, as the operator says it. The zero value hides nothing.
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

// add takes a value such as 31010@lic1.example:31010@lic2, whole and in parts. A
// kind of licence is no secret, nor is a port or a word that solvers use themselves.
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

// ordinaryWord is true for names of hosts that are words of solvers' messages as
// well; to hide them would make riddles of the messages.
func ordinaryWord(word string) bool {
	switch word {
	case "license", "licence", "server", "localhost", "local", "network", "ansys", "lstc", "dyna", "lsdyna", "ls-dyna", "host":
		return true
	}
	return false
}

// Redact takes the secrets out of a text, however they are spelt, where they
// stand as words of their own.
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

// continues tells whether the byte at i makes the word whose edge it touches a
// part of a longer one.
func continues(text string, i int, edge byte) bool {
	return i >= 0 && i < len(text) && alphanumeric(text[i]) && alphanumeric(edge)
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// lowerASCII keeps every byte in its place, which strings.ToLower does not.
func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
