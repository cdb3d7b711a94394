// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package manual

import (
	"fmt"
	"strings"
)

// manSection is that of commands for administrators (man-pages(7)).
const manSection = 8

// Man is the program's man page, in the macros of man(7).
func (p Program) Man() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %d \"\" %s\n", roffQuote(strings.ToUpper(p.Name)), manSection, roffQuote(p.Name+" "+p.Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(p.Name), roff(p.Summary))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I COMMAND\n.RI [ ARGUMENTS ]\n", roff(p.Name))
	b.WriteString(".SH DESCRIPTION\nWithout arguments it is the plugin that the Nomad agent launches.\nFor operators it has these commands:\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Name), roff(c.Summary))
	}
	for _, c := range p.Commands {
		fmt.Fprintf(&b, ".SH %s\n%s.\n", roffQuote(strings.ToUpper(c.Name)), roff(strings.ToUpper(c.Summary[:1])+c.Summary[1:]))
		for _, s := range c.sections() {
			writeManSection(&b, s)
		}
	}
	return b.String()
}

func writeManSection(b *strings.Builder, s section) {
	fmt.Fprintf(b, ".SS %s\n", roffQuote(s.title[:1]+strings.ToLower(s.title[1:])))
	switch {
	case s.title == "OPTIONS", s.title == "ENVIRONMENT":
		for _, o := range parseOptions(s.lines) {
			fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(strings.Join(o.names, ", ")))
			if o.arg != "" {
				fmt.Fprintf(b, " \\fI%s\\fR", roff(o.arg))
			}
			fmt.Fprintf(b, "\n%s\n", roff(o.text))
		}
	case strings.HasPrefix(s.title, "EXAMPLE"), s.title == "USAGE":
		writeAsItIs(b, s.lines)
	default:
		writeParagraphs(b, s.lines)
	}
}

// writeParagraphs writes text, and as it is what is indented.
func writeParagraphs(b *strings.Builder, lines []string) {
	for begin := b.Len(); len(lines) > 0; {
		n := 1
		for indented := strings.HasPrefix(lines[0], " "); n < len(lines) && lines[n] != "" && lines[n-1] != "" && strings.HasPrefix(lines[n], " ") == indented; n++ {
		}
		switch {
		case lines[0] == "":
			if b.Len() > begin { // a heading begins a paragraph, too
				b.WriteString(".P\n")
			}
		case lines[0][0] == ' ':
			writeAsItIs(b, lines[:n])
		default:
			for _, l := range lines[:n] {
				b.WriteString(roff(l) + "\n")
			}
		}
		lines = lines[n:]
	}
}

func writeAsItIs(b *strings.Builder, lines []string) {
	b.WriteString(".nf\n")
	for _, l := range lines {
		b.WriteString(roff(l) + "\n")
	}
	b.WriteString(".fi\n")
}

// roff writes text so that it is none of roff's own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// roffQuote is roff for one argument of a macro.
func roffQuote(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }
