// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package screen lays text out for terminals and for plain files: styles, widths,
// wrapping, tables.
package screen

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// Screen is what can be shown where the output goes.
type Screen struct {
	Terminal bool
	Color    bool
	Unicode  bool
	Width    int // columns
	Height   int // lines; 0 without a terminal
}

// Widths in columns.
const (
	defaultWidth = 100
	MinWidth     = 40 // of a Screen that Of returns
	maxWidth     = 1000
)

// Of looks at where the output goes. Colour is for terminals, and for
// those who did not refuse it (https://no-color.org). COLUMNS gives the width
// where there is no terminal to ask.
func Of(w io.Writer) Screen {
	s := Screen{Width: defaultWidth}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.Width = n
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.Terminal = true
		s.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		s.Unicode = utf8Locale()
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			s.Width, s.Height = columns, lines
		}
	}
	s.Width = min(max(s.Width, MinWidth), maxWidth)
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

// Pick chooses a character that the screen can show.
func (s Screen) Pick(nice, ascii rune) rune {
	if s.Unicode {
		return nice
	}
	return ascii
}

// Render makes the text of lines, without blanks at their ends.
func (s Screen) Render(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(s.RenderLine(l))
		b.WriteByte('\n')
	}
	return b.String()
}

// RenderLine makes the text of one line.
func (s Screen) RenderLine(l Line) string {
	var b strings.Builder
	for _, sp := range l {
		if !s.Color || sp.Style == Plain || sp.Text == "" {
			b.WriteString(sp.Text)
			continue
		}
		b.WriteString("\x1b[" + string(sp.Style) + "m" + sp.Text + "\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}
