// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package manual makes of the help pages of commands what is installed beside a program:
// completions for shells and a man page. The pages are the only source, so an option that
// is there is completed, and one that is gone is not.
package manual

import (
	"regexp"
	"slices"
	"strings"
)

// Program is a program with commands, each of which has a help page.
type Program struct {
	Name, Version string
	Summary       string // what it is, in one line
	Commands      []Command
}

// Command is one command of a Program.
type Command struct {
	Name    string
	Summary string // one line
	Help    string // sections: a heading at the line's begin, text that is indented by two
}

// section is a part of a help page.
type section struct {
	title string
	lines []string // without their indentation
}

// option is what a help page says of one or several options, which take the same.
type option struct {
	names []string // with the dash
	arg   string   // what it takes, in capitals; "" for nothing
	text  string   // one paragraph
}

// sections splits a help page.
func (c Command) sections() []section {
	var all []section
	for line := range strings.Lines(c.Help) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line != "" && line[0] != ' ':
			all = append(all, section{title: line})
		case len(all) > 0:
			last := &all[len(all)-1]
			last.lines = append(last.lines, strings.TrimPrefix(line, "  "))
		}
	}
	for i := range all {
		for n := len(all[i].lines); n > 0 && all[i].lines[n-1] == ""; n-- {
			all[i].lines = all[i].lines[:n-1]
		}
	}
	return all
}

// lines returns the text of a section.
func (c Command) lines(title string) []string {
	for _, s := range c.sections() {
		if s.title == title {
			return s.lines
		}
	}
	return nil
}

// optionLine begins an option, "-since, -until TIME", "-o FILE  Write the page to ...", or
// a variable of the environment, "COLUMNS  The width ...".
var optionLine = regexp.MustCompile(`^((?:-[a-z-]+|[A-Z_]{4,})(?:, (?:-[a-z-]+|[A-Z_]{4,}))*)(?: ([A-Z]+(?:/[A-Z]+)*))?(?:\s+(.*))?$`)

func parseOptions(lines []string) []option {
	var all []option
	for _, line := range lines {
		if m := optionLine.FindStringSubmatch(line); m != nil {
			all = append(all, option{strings.Split(m[1], ", "), m[2], m[3]})
		} else if len(all) > 0 {
			last := &all[len(all)-1]
			last.text = strings.TrimSpace(last.text + " " + strings.TrimSpace(line))
		}
	}
	return all
}

func (c Command) options() []option { return parseOptions(c.lines("OPTIONS")) }

// briefly is how long a description beside a completion may be.
const briefly = 72

// brief is the first sentence of an option's text, or its begin.
func (o option) brief() string {
	text, _, _ := strings.Cut(o.text, ". ")
	if len(text) > briefly {
		return text[:strings.LastIndexByte(text[:briefly], ' ')+1] + "..."
	}
	return strings.TrimSuffix(text, ".")
}

// value is what may stand at a place of the command line.
type value struct {
	kind  kind
	words []string // of kind oneOf
}

type kind int

const (
	nothing kind = iota // that a shell could know
	aFile
	aDir
	oneOf
)

// choice is a list of words in a usage line, as isolate|share.
var choice = regexp.MustCompile(`^[a-z]+(?:\|[a-z]+)+$`)

// of finds what may be given to an option of a command.
func (c Command) of(name, arg string) value {
	words := strings.FieldsFunc(strings.Join(c.lines("USAGE"), " "), func(r rune) bool { return strings.ContainsRune(" []", r) })
	for i, w := range words[:max(len(words)-1, 0)] {
		if w == name && choice.MatchString(words[i+1]) {
			return value{oneOf, strings.Split(words[i+1], "|")}
		}
	}
	return valueOf(arg)
}

func valueOf(arg string) value {
	switch arg {
	case "FILE", "PATH":
		return value{kind: aFile}
	case "DIR":
		return value{kind: aDir}
	}
	return value{}
}

// argument finds what a command takes beside its options. Names are those of all commands.
func (c Command) argument(names []string) value {
	takes := map[string]bool{}
	for _, o := range c.options() {
		for _, name := range o.names {
			takes[name] = o.arg != ""
		}
	}
	words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", "...", "").Replace(strings.Join(c.lines("USAGE"), " ")))
	for i, w := range words {
		if i > 0 && takes[words[i-1]] {
			continue
		}
		switch {
		case w == "COMMAND":
			return value{oneOf, names}
		case choice.MatchString(w):
			return value{oneOf, strings.Split(w, "|")}
		case valueOf(w).kind != nothing:
			return valueOf(w)
		}
	}
	return value{}
}

// names are those of the commands.
func (p Program) names() []string {
	var all []string
	for _, c := range p.Commands {
		all = append(all, c.Name)
	}
	return all
}

// optionNames are all options of a command, and -h, which each has.
func (c Command) optionNames() []string {
	all := []string{"-h"}
	for _, o := range c.options() {
		all = append(all, o.names...)
	}
	slices.Sort(all)
	return all
}

// function is the name of a shell function.
func (p Program) function() string { return "_" + strings.ReplaceAll(p.Name, "-", "_") }

// quote quotes for all three shells. No text of a help page has a backslash before a quote.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
