// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// style is the parameters of ECMA-48's "select graphic rendition", "" for none.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// taskStyles tell tasks apart: black on colours that both dark and light
// terminals show. Red is kept for what is wrong.
var taskStyles = []style{"30;46", "30;43", "30;42", "30;45", "97;44", "30;106", "30;103", "30;102", "30;105", "30;104"}

// span is a piece of a line in one style, line a line of the output.
type span struct {
	text  string
	style style
}

type line []span

// text is a line without style.
func text(words string) line { return line{{text: words}} }

func (l *line) add(st style, words string) {
	if n := len(*l); n > 0 && (*l)[n-1].style == st {
		(*l)[n-1].text += words
		return
	}
	*l = append(*l, span{words, st})
}

// width is the number of columns a line takes.
func (l line) width() int {
	n := 0
	for _, s := range l {
		n += utf8.RuneCountInString(s.text)
	}
	return n
}

// cut shortens a line to a width.
func (l line) cut(width int) line {
	var short line
	for _, s := range l {
		n := utf8.RuneCountInString(s.text)
		if n > width {
			s.text = string([]rune(s.text)[:max(width, 0)])
		}
		short = append(short, s)
		width -= n
		if width <= 0 {
			break
		}
	}
	return short
}

// screen is what can be shown where the output goes.
type screen struct {
	terminal bool
	color    bool
	unicode  bool
	width    int // columns
	height   int // lines; 0 without a terminal
}

const (
	usualWidth = 100
	leastWidth = 40
	mostWidth  = 1000
)

// screenOf looks at where the output goes. Colour is for terminals, and for
// those who did not refuse it (https://no-color.org). COLUMNS gives the width
// where there is no terminal to ask.
func screenOf(w io.Writer) screen {
	s := screen{width: usualWidth}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = true
		s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		s.unicode = utf8Locale()
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			s.width, s.height = columns, lines
		}
	}
	s.width = min(max(s.width, leastWidth), mostWidth)
	return s
}

// utf8Locale reads the locale as setlocale(3) does.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// pick chooses a character that the screen can show.
func (s screen) pick(nice, ascii rune) rune {
	if s.unicode {
		return nice
	}
	return ascii
}

// render makes the text of lines, without blanks at their ends.
func (s screen) render(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(s.renderLine(l))
		b.WriteByte('\n')
	}
	return b.String()
}

func (s screen) renderLine(l line) string {
	var b strings.Builder
	for _, sp := range l {
		if !s.color || sp.style == plain || sp.text == "" {
			b.WriteString(sp.text)
			continue
		}
		b.WriteString("\x1b[" + string(sp.style) + "m" + sp.text + "\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}

// wrap breaks words into lines of a width; lines after the first are indented.
func wrap(words string, width, indent int) []line {
	var lines []line
	current := ""
	for word := range strings.FieldsSeq(words) {
		for utf8.RuneCountInString(word) > width-indent { // a path, or a core list
			room := []rune(word)
			if current != "" {
				lines = append(lines, text(current))
			}
			lines = append(lines, text(strings.Repeat(" ", indent)+string(room[:width-indent])))
			word, current = string(room[width-indent:]), ""
		}
		switch {
		case current == "" && len(lines) == 0:
			current = word
		case current == "":
			current = strings.Repeat(" ", indent) + word
		case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, text(current))
			current = strings.Repeat(" ", indent) + word
		default:
			current += " " + word
		}
	}
	if current != "" {
		lines = append(lines, text(current))
	}
	return lines
}

// clean takes out what would steer a terminal: much of what is shown was
// written by the users of tasks.
func clean(words string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, words)
}
