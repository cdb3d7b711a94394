// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package screen

import "github.com/charmbracelet/x/ansi"

// Style is the parameters of ECMA-48's "select graphic rendition", "" for none.
type Style string

// Styles with a meaning.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "1;31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Span is a piece of a line in one style.
type Span struct {
	Text  string
	Style Style
}

// Line is a line of the output, or a cell of a table.
type Line []Span

// Text is a line without style.
func Text(text string) Line { return Line{{Text: text}} }

// Styled is a line of one style.
func Styled(style Style, text string) Line { return Line{{text, style}} }

// Add appends to the line.
func (l *Line) Add(style Style, text string) {
	if n := len(*l); n > 0 && (*l)[n-1].Style == style {
		(*l)[n-1].Text += text
		return
	}
	*l = append(*l, Span{text, style})
}

// Width is the number of columns a line takes: two for a wide character, none for a
// combining one.
func (l Line) Width() int {
	n := 0
	for _, s := range l {
		n += ansi.StringWidth(s.Text)
	}
	return n
}

// Cut shortens a line to a width, or to one column less where a wide character does
// not fit.
func (l Line) Cut(width int) Line {
	var short Line
	for _, s := range l {
		n := ansi.StringWidth(s.Text)
		s.Text = ansi.Truncate(s.Text, width, "")
		short = append(short, s)
		width -= n
		if width <= 0 {
			break
		}
	}
	return short
}
