// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Arguments is the command line. Memory is in words; zero means not given.
type Arguments struct {
	Input   string
	CPUs    int // threads; a negative number asked for consistent results
	Memory  int
	Memory2 int
	JobID   string
	Restart string
	EndTime float64
	Cycles  int
	NoDump  bool
	Pfile   string
	Long    bool
	Case    bool
	CaseIDs []int    // of the cases to run; none: all
	Words   []string // the words as given
}

// defaultMemory is what LS-DYNA R14 takes in double precision, in words.
const defaultMemory = 100_000_000

// passed are options that LS-DYNA has and that change nothing here.
var passed = []string{"para", "nlq", "o", "g", "d3part", "f", "e", "t", "a", "b", "k", "l", "m", "x", "c", "w", "s", "z", "h", "y", "license", "pgpkey"}

// parseArguments reads the command line. Option names are taken in upper and
// lower case, as LS-DYNA does. The error is the text after "*** Error 70004".
func parseArguments(words []string) (Arguments, error) {
	a := Arguments{CPUs: 1, Words: words}
	for _, word := range words {
		name, value, assigned := strings.Cut(word, "=")
		name = strings.ToLower(name)
		if !assigned {
			switch name {
			case "case":
				a.Case = true
			case "ncsp":
			default:
				return a, fmt.Errorf("Unrecognized word on the command line: %s", word)
			}
			continue
		}
		if err := a.set(name, value); err != nil {
			return a, err
		}
	}
	if a.Input == "" && a.Restart == "" {
		return a, fmt.Errorf("No input file: give i=deck or r=dump")
	}
	return a, nil
}

func (a *Arguments) set(name, value string) (err error) {
	bad := func() error { return fmt.Errorf("Invalid value on the command line: %s=%s", name, value) }
	switch name {
	case "i":
		a.Input = value
	case "r":
		a.Restart = value
	case "p":
		a.Pfile = value
	case "jobid":
		a.JobID = value
		if value == "" || value != filepath.Base(value) {
			return bad()
		}
	case "d":
		a.NoDump = strings.EqualFold(value, "nodump")
	case "case":
		a.Case = true
		for id := range strings.SplitSeq(value, ",") {
			n, err := strconv.Atoi(id)
			if err != nil {
				return bad()
			}
			a.CaseIDs = append(a.CaseIDs, n)
		}
	case "long":
		a.Long = strings.EqualFold(value, "y")
	case "ncpu":
		if a.CPUs, err = strconv.Atoi(value); err != nil || a.CPUs == 0 || a.CPUs < -1024 || a.CPUs > 1024 {
			return bad()
		}
	case "memory":
		if a.Memory, err = parseWords(value); err != nil {
			return bad()
		}
	case "memory2":
		if a.Memory2, err = parseWords(value); err != nil {
			return bad()
		}
	case "endtime":
		if a.EndTime, err = strconv.ParseFloat(value, 64); err != nil || !(a.EndTime > 0) {
			return bad()
		}
	case "ncycle":
		if a.Cycles, err = strconv.Atoi(value); err != nil || a.Cycles < 1 {
			return bad()
		}
	default:
		if slices.Contains(passed, name) {
			return nil
		}
		return fmt.Errorf("Unrecognized option on the command line: %s=%s", name, value)
	}
	return nil
}

// threads is the number of SMP threads.
func (a Arguments) threads() int {
	if a.CPUs < 0 {
		return -a.CPUs
	}
	return a.CPUs
}

// parseWords reads a number of words with LS-DYNA's suffixes k, m and g, which
// are powers of ten.
func parseWords(s string) (int, error) {
	factor := 1
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			factor = 1_000
		case 'm', 'M':
			factor = 1_000_000
		case 'g', 'G':
			factor = 1_000_000_000
		}
		if factor > 1 {
			s = s[:len(s)-1]
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 || n > 1<<40/factor {
		return 0, fmt.Errorf("%q is not a number of words", s)
	}
	return n * factor, nil
}

// identity is what the executable says it is.
type identity struct {
	Parallel  string // smp, mpp or hyb
	Precision string // s or d
}

// identify reads the name of the executable, as LS-DYNA's are built:
// ls-dyna_mpp_d_R14_…. Other names are smp, double; ranks makes them mpp.
func identify(executable string, ranks int) identity {
	id := identity{"smp", "d"}
	if ranks > 1 {
		id.Parallel = "mpp"
	}
	for _, part := range strings.FieldsFunc(strings.ToLower(filepath.Base(executable)), func(r rune) bool { return r == '_' || r == '-' }) {
		switch part {
		case "smp", "mpp", "hyb":
			id.Parallel = part
		case "s", "d":
			id.Precision = part
		}
	}
	return id
}

// wordBytes is the size of a word.
func (id identity) wordBytes() int {
	if id.Precision == "s" {
		return 4
	}
	return 8
}

func (id identity) version() string { return id.Parallel + " " + id.Precision + " R14" }
