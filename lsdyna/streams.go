// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"path"
	"slices"
	"strings"
)

// usualStdout are the words that names of a file with a solver's stdout have. Whoever
// started the run chose its name.
var usualStdout = []string{"stdout", "slurm", ".out", ".log", ".o", "out.", "log.", "screen", "output", "jobout", "nohup", "lsrun", "result", ".txt"}

// neverStdout are the ends of names of files that are not a solver's stdout: decks,
// scripts, documents, pictures, archives, databases.
var neverStdout = []string{
	".k", ".key", ".dyn", ".inc", ".asc", ".blk", ".mod", ".py", ".sh", ".bat", ".cmd", ".ps1", ".pl", ".c", ".h", ".f", ".f90", ".go", ".m", ".r",
	".md", ".rst", ".html", ".htm", ".xml", ".json", ".yaml", ".yml", ".toml", ".hcl", ".nomad", ".csv", ".tsv", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".tex",
	".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".avi", ".mp4", ".mov",
	".zip", ".gz", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z", ".rar", ".exe", ".dll", ".so", ".o", ".a", ".bin",
	".h3d", ".op2", ".odb", ".hdf5", ".h5", ".vtk", ".vtu", ".stl", ".igs", ".step", ".stp", ".hm", ".bdf", ".nas", ".inp", ".swp", ".bak", ".lock", ".pfile",
}

// databases are the beginnings of the names of LS-DYNA's own databases and scratch files.
var databases = []string{
	"d3plot", "d3thdt", "d3part", "d3eigv", "d3drlf", "d3dump", "d3full", "d3prop", "d3crack", "d3mode", "d3ssd", "d3spcm", "d3psd", "d3rms", "d3ftg", "d3acs", "runrsf", "binout", "intfor", "interface", "dynain", "scr", "lsda",
	"glstat", "matsum", "rcforc", "nodout", "elout", "sleout", "deforc", "rwforc", "secforc", "spcforc", "bndout", "rbdout", "swforc", "abstat", "jntforc", "ncforc", "nodfor", "sbtout", "gceout", "curvout", "disbout", "trhist", "tprint", "eigout",
	"part_des", "adptmp", "bg_switch", "kill_by_pid", "d3kil", "load_profile", "cont_profile", "prof.out", "gmon.out", "core.", "lspost",
}

// MayBeStdout reports whether a file of this name may hold a solver's stdout, and whether
// the name is a usual one. What it holds decides.
func MayBeStdout(name string) (maybe, usual bool) {
	if _, known := ParseOutputName(name); known || strings.HasPrefix(name, ".") {
		return false, false
	}
	lower := strings.ToLower(name)
	starts := func(stem string) bool { return strings.HasPrefix(lower, stem) }
	if slices.Contains(neverStdout, path.Ext(lower)) || slices.ContainsFunc(databases, starts) {
		return false, false
	}
	has := func(word string) bool { return strings.Contains(lower, word) }
	return true, slices.ContainsFunc(usualStdout, has) || lower == "out" || lower == "log"
}

// StderrNames are the names that the file with a run's stderr may have, by the name of
// the file with its stdout: slurm-7.err beside slurm-7.out, crash.e7 beside crash.o7,
// run.err beside run.log. The most likely one comes first.
func StderrNames(stdout string) []string {
	var names []string
	add := func(name string) {
		if name != stdout && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, pair := range [][2]string{{"stdout", "stderr"}, {"STDOUT", "STDERR"}, {"output", "error"}, {"Output", "Error"}, {"out", "err"}, {"OUT", "ERR"}, {"Out", "Err"}, {"out", "error"}} {
		if at := strings.LastIndex(stdout, pair[0]); at >= 0 {
			add(stdout[:at] + pair[1] + stdout[at+len(pair[0]):])
		}
	}
	for _, letter := range []string{".o", ".po", ".O", "-o", "_o"} { // PBS and Grid Engine: NAME.oJOB, NAME.oJOB.TASK
		at := strings.LastIndex(stdout, letter)
		if at < 0 || !digits(strings.ReplaceAll(stdout[at+len(letter):], ".", "")) {
			continue
		}
		last := at + len(letter) - 1
		add(stdout[:last] + string(stdout[last]+'e'-'o') + stdout[last+1:])
	}
	stem := strings.TrimSuffix(stdout, path.Ext(stdout))
	for _, end := range []string{".err", ".stderr", ".error", "_err", "-err"} {
		add(stem + end)
		add(stdout + end)
		add(stem + end + path.Ext(stdout))
	}
	return names
}
