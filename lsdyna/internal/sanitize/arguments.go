// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package sanitize

import "strings"

// secretNames are parts of the names of variables and options whose values are hidden.
var secretNames = []string{"LICENSE", "LICENCE", "LICSERVER", "LSTC_FILE", "ANSYSL", "PASSW", "SECRET", "TOKEN", "CREDENTIAL"}

// Arguments takes licence servers and what names itself a secret out of a command line:
// what looks like port@host, the values of NAME=value, and the word behind an option or
// variable of such a name.
func Arguments(text string) string {
	words := strings.Fields(text)
	hideNext := false
	for i, word := range words {
		name, _, assigned := strings.Cut(word, "=")
		switch {
		case hideNext:
			words[i] = Redacted
		case strings.Contains(word, "@") && !assigned:
			words[i] = Redacted
		case assigned && (strings.Contains(word, "@") || isSecretName(name)):
			words[i] = name + "=" + Redacted
		}
		// -x NAME, -genv NAME VALUE
		hideNext = !assigned && !hideNext && isSecretName(word) && i > 0 && strings.HasPrefix(words[i-1], "-") && strings.Contains(words[i-1], "env") ||
			!assigned && !hideNext && strings.HasPrefix(word, "-") && isSecretName(word)
	}
	return strings.Join(words, " ")
}

func isSecretName(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range secretNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
