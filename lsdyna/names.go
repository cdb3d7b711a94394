// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// ValidatePath reports why a file that the user names cannot be used: because it is
// not below the run folder, or because LS-DYNA cannot read such a name. key is the
// key of the task configuration.
func ValidatePath(key, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty; give the name of a file below work_dir", key)
	case !filepath.IsLocal(name):
		return fmt.Errorf("%s = %q leads out of the run folder; give a path below work_dir", key, name)
	case strings.Contains("/"+name+"/", "/../"):
		// Behind a symbolic link it leads elsewhere than its text says.
		return fmt.Errorf("%s = %q goes up again with \"..\"; give the plain path below work_dir", key, name)
	case strings.ContainsAny(name, " \t"):
		return fmt.Errorf("%s = %q has a blank in it: LS-DYNA ends a file name at the first blank and then stops with Error 70004; rename the file or folder", key, name)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("%s = %q has a control character in it; rename the file", key, name)
		}
	}
	if strings.ContainsAny(name, "=,") {
		return fmt.Errorf("%s = %q has %q or %q in it, which LS-DYNA reads as the start of another argument; rename the file", key, name, "=", ",")
	}
	return nil
}

// IsDump reports whether LS-DYNA gives such a name to a restart file, with or
// without a jobid before it.
func IsDump(name string) bool {
	base := path.Base(name)
	if base == "runrsf" || strings.HasSuffix(base, ".runrsf") {
		return true
	}
	for _, stem := range []string{"d3dump", "d3full"} {
		if i := strings.LastIndex(base, stem); i >= 0 && (i == 0 || base[i-1] == '.') {
			return digits(base[i+len(stem):])
		}
	}
	return false
}

// IsFullDump reports whether a name is that of a dump for a full restart, which
// takes a deck beside it.
func IsFullDump(name string) bool {
	return IsDump(name) && strings.Contains(path.Base(name), "d3full")
}

// DumpOf is the name of the dump that a file belongs to. A dump of MPP has one
// file for each rank, with the rank's number behind a dot.
func DumpOf(file string) string {
	if dot := strings.LastIndexByte(file, '.'); dot > 0 && digits(file[dot+1:]) {
		return file[:dot]
	}
	return file
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// The files that hold a solver's stdout and stderr where nothing else was asked.
// The Fortran runtime and mpirun report signals and crashes on stderr.
const (
	DefaultStdout = "stdout"
	DefaultStderr = "stderr"
)

// OutputName is what the name of an output says about it.
type OutputName struct {
	JobID    string
	Kind     OutputKind
	Sequence int // 0 first run, 1… restarts
	Rank     int // MPP rank; 0 also for SMP
}

// OutputKind is a kind of output, of which a run may have several files.
type OutputKind string

// The kinds of outputs that a run's state is read from.
const (
	KindStdout OutputKind = "stdout"
	KindMessag OutputKind = "messag"
	KindD3hsp  OutputKind = "d3hsp"
	KindStatus OutputKind = "status.out"
	KindStderr OutputKind = "stderr"
	KindGlstat OutputKind = "glstat" // global statistics: energies, added mass, time step
	KindDump   OutputKind = "dump"   // not text
)

// ParseOutputName recognises the outputs that a run's state is read from:
// messag, messag01, mes0000, mes010000, d3hsp, d3hsp01, glstat, glstat01, status.out,
// d3dump01, d3dump01.0000, d3full01, runrsf, each also behind "jobid.".
func ParseOutputName(name string) (OutputName, bool) {
	for i := 0; ; {
		if out, ok := parseBareName(name[i:]); ok {
			out.JobID = strings.TrimSuffix(name[:i], ".")
			return out, true
		}
		dot := strings.IndexByte(name[i:], '.')
		if dot < 0 {
			return OutputName{}, false
		}
		i += dot + 1
	}
}

func parseBareName(name string) (OutputName, bool) {
	switch {
	case name == "status.out":
		return OutputName{Kind: KindStatus}, true
	case strings.HasPrefix(name, "messag"):
		seq, ok := sequence(name[len("messag"):])
		return OutputName{Kind: KindMessag, Sequence: seq}, ok
	case strings.HasPrefix(name, "d3hsp"):
		seq, ok := sequence(name[len("d3hsp"):])
		return OutputName{Kind: KindD3hsp, Sequence: seq}, ok
	case strings.HasPrefix(name, "glstat"):
		seq, ok := sequence(name[len("glstat"):])
		return OutputName{Kind: KindGlstat, Sequence: seq}, ok
	case strings.HasPrefix(name, "mes"):
		return parseRankMessages(name[len("mes"):])
	}
	bare, _, _ := strings.Cut(name, ".")
	if IsDump(bare) {
		return OutputName{Kind: KindDump}, true
	}
	return OutputName{}, false
}

// parseRankMessages reads the digits of mes0000 (rank 0), mes0001, and of
// mes010000: rank 0 after the first restart.
func parseRankMessages(s string) (OutputName, bool) {
	if !digits(s) || (len(s) != 4 && len(s) != 6) {
		return OutputName{}, false
	}
	out := OutputName{Kind: KindMessag}
	if len(s) == 6 {
		out.Sequence, s = number(s[:2]), s[2:]
	}
	out.Rank = number(s)
	return out, true
}

func sequence(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	if !digits(s) || len(s) > 4 {
		return 0, false
	}
	return number(s), true
}

func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}
