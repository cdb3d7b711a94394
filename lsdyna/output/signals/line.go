// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package signals

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ends are the verbs beside which "signal" names what ended a process.
var ends = []string{"killed", "terminated", "termination", "exited", "caught", "received", "died", "ended", "crashed", "abnormal", "dumped"}

// OfLine is the signal that ended a process, by a line of a shell, of a launcher,
// of a runtime or of the kernel; 0 if the line does not say that.
func OfLine(lower string) int {
	if n := OfShell(lower); n != 0 && !strings.Contains(lower, "=") && wholeLine(lower) {
		return n // of dash, csh, or a command of a script
	}
	if after, ok := strings.CutPrefix(lower, "zsh: "); ok {
		return OfShell(after)
	}
	if _, after, found := strings.Cut(lower, "line "); found && Leading(after) >= 0 { // bash
		_, after, _ = strings.Cut(after, ":")
		return OfShell(strings.TrimLeft(after, " 0123456789"))
	}
	if lower != "" && lower[0] == '[' { // job control, Open MPI's "[host:pid] Signal: …"
		_, after, _ := strings.Cut(lower, "]")
		if name, found := strings.CutPrefix(after, " signal: "); found {
			return In(name)
		}
		if n := OfShell(strings.TrimLeft(after, "+- 0123456789")); n != 0 {
			return n
		}
	}
	if strings.HasPrefix(lower, "srun: ") { // srun: error: node07: tasks 0-3: Killed
		if at := strings.LastIndex(lower, ": "); strings.Contains(lower, ": task") {
			return OfShell(lower[at+2:])
		}
	}
	switch {
	case strings.Contains(lower, "segfault at "): // the kernel
		return int(unix.SIGSEGV)
	case strings.Contains(lower, "code=killed"), strings.Contains(lower, "code=dumped"): // systemd
		_, status, _ := strings.Cut(lower, "status=")
		return max(Leading(status), 0)
	case strings.Contains(lower, "]: ") && Leading(lower[strings.LastIndex(lower, "]: ")+3:]) >= 0: // ksh
		return OfShell(strings.TrimLeft(lower[strings.LastIndex(lower, "]: ")+3:], " 0123456789"))
	case strings.Contains(lower, "signal") && !strings.HasPrefix(lower, "signal ") && slices.ContainsFunc(ends, func(word string) bool { return strings.Contains(lower, word) }):
		if n := Number(lower); n != 0 {
			return n
		}
		for _, w := range runtimeWords {
			if strings.Contains(lower, w.word) {
				return int(w.signal)
			}
		}
	}
	return 0
}

// wholeLine reports whether a line is a shell's word and nothing more, or with the
// command behind it as zsh and csh print it: a sentence may begin with such a word.
func wholeLine(lower string) bool {
	bare := strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(lower, "(core dumped)"), "(coredump)"))
	if name, number, found := strings.Cut(bare, ": "); found && Leading(number) > 0 { // macOS: Killed: 9
		bare = name
	}
	for _, w := range shellWords {
		if bare == w.word {
			return true
		}
	}
	return strings.Contains(lower, "(core")
}
