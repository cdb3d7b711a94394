// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/deck"
)

// Sink says which of the three text outputs a line goes to.
type Sink int

// The text outputs. Above rank 0 only Messag exists.
const (
	Stdout Sink = 1 << iota
	Messag
	D3hsp
	Everywhere = Stdout | Messag | D3hsp
)

// stdoutLimit is how many errors of one kind reach stdout.
const stdoutLimit = 50

// Listing writes the text outputs. Lines are written at once: who reads the
// files sees what the solver knows.
type Listing struct {
	files    map[Sink]io.Writer
	now      func() time.Time
	Errors   int
	Warnings int
	kinds    map[string]int
}

// openListing creates messag (or mesNNNN) and d3hsp. A restart gets files of
// its own: messag01, d3hsp01, mes000001.
func openListing(stdout io.Writer, prefix string, id identity, rank, restart int) (*Listing, error) {
	messag := "messag"
	if id.Parallel != "smp" {
		messag = fmt.Sprintf("mes%04d", rank)
	}
	suffix := ""
	if restart > 0 {
		suffix = fmt.Sprintf("%02d", restart)
	}
	l := &Listing{files: map[Sink]io.Writer{}, now: time.Now, kinds: map[string]int{}}
	names := map[Sink]string{Messag: messag}
	if rank == 0 {
		names[D3hsp] = "d3hsp"
		l.files[Stdout] = stdout
	}
	for sink, name := range names {
		file, err := os.Create(prefix + name + suffix)
		if err != nil {
			return nil, fmt.Errorf("open output: %w", err)
		}
		l.files[sink] = file
	}
	return l, nil
}

// restartNumber finds the first free number for this restart's messages.
func restartNumber(prefix string, id identity, rank int) int {
	messag := "messag"
	if id.Parallel != "smp" {
		messag = fmt.Sprintf("mes%04d", rank)
	}
	for n := 1; ; n++ {
		if _, err := os.Stat(fmt.Sprintf("%s%s%02d", prefix, messag, n)); err != nil {
			return n
		}
	}
}

func (l *Listing) print(to Sink, format string, args ...any) {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	for sink, w := range l.files {
		if to&sink != 0 {
			_, _ = io.WriteString(w, text)
		}
	}
}

// stamp is the date and time of day that end many lines.
func (l *Listing) stamp() string { return l.now().Format("01/02/06 15:04:05") }

// stamped prints a line of 80 columns that ends with the time, everywhere.
func (l *Listing) stamped(text string) {
	l.print(Everywhere, "%-63s%s\n", text, l.stamp())
}

// progress prints the line that tells how far the run is.
func (l *Listing) progress(to Sink, cycle int, t, dt float64, event string) {
	l.print(to, "%s\n", progressLine(cycle, t, dt, event, l.stamp()))
}

// progressLine is exactly 80 columns: cycle 1-8, time 12-21, step 26-33, event
// 35-63, date and time 64-80.
func progressLine(cycle int, t, dt float64, event, stamp string) string {
	number := fmt.Sprintf("%8d", cycle)
	if len(number) > 8 {
		number = "********"
	}
	return fmt.Sprintf("%s t %10s dt %8s %-29.29s%s", number, fortran(t, 4), fortran(dt, 2), event, stamp)
}

// fortran prints 1.2345E+00; an exponent of three digits drops the E, as
// Fortran does: 1.2345-100.
func fortran(v float64, digits int) string {
	s := strings.ToUpper(fmt.Sprintf("%.*e", digits, v))
	if i := strings.IndexByte(s, 'E'); i >= 0 && len(s)-i > 4 {
		s = s[:i] + s[i+1:]
	}
	return s
}

// fortranZero prints 0.1234E+00, the older form with a leading zero.
func fortranZero(v float64) string {
	const digits = 4
	if v == 0 {
		return fmt.Sprintf("0.%0*dE+00", digits, 0)
	}
	s := fmt.Sprintf("%.*e", digits-1, v)
	mantissa, exponent, _ := strings.Cut(s, "e")
	sign := ""
	if rest, ok := strings.CutPrefix(mantissa, "-"); ok {
		sign, mantissa = "-", rest
	}
	var n int
	_, _ = fmt.Sscanf(exponent, "%d", &n)
	return fmt.Sprintf("%s0.%sE%+03d", sign, strings.Replace(mantissa, ".", "", 1), n+1)
}

// classes gives the number that a class of messages starts from.
var classes = map[string]int{"KEY": 10000, "STR": 20000, "INI": 30000, "SOL": 40000, "IMP": 60000, "OTH": 70000}

// error prints an error in LS-DYNA's form and counts it.
func (l *Listing) error(class string, code int, text string) {
	l.Errors++
	l.message("Error", class, code, text)
}

// warning prints a warning and counts it.
func (l *Listing) warning(class string, code int, text string) {
	l.Warnings++
	l.message("Warning", class, code, text)
}

func (l *Listing) message(what, class string, code int, text string) {
	block := messageText(what, class, code, text)
	to := Messag | D3hsp
	key := fmt.Sprint(what, class, code)
	l.kinds[key]++
	if l.kinds[key] <= stdoutLimit {
		to |= Stdout
	}
	l.print(to, "%s", block)
}

func messageText(what, class string, code int, text string) string {
	return fmt.Sprintf(" \n *** %s %d (%s+%d)\n     %s\n", what, classes[class]+code, class, code,
		strings.ReplaceAll(text, "\n", "\n     "))
}

// flood prints n warnings of one kind, in few writes.
func (l *Listing) flood(n int) {
	text := func(i int) string { return fmt.Sprintf("stand-in solver: warning # %d on request", i) }
	for i := 1; i <= min(n, stdoutLimit); i++ {
		l.warning("SOL", 282, text(i))
	}
	for l.Warnings < n {
		var b strings.Builder
		for i := 0; i < 1000 && l.Warnings < n; i++ {
			l.Warnings++
			b.WriteString(messageText("Warning", "SOL", 282, text(l.Warnings)))
		}
		l.print(Messag|D3hsp, "%s", b.String())
	}
}

// keyword prints what the deck reader had to say.
func (l *Listing) keyword(log []deck.Message) {
	for _, m := range log {
		switch m.Kind {
		case deck.Opened:
			l.print(Everywhere, "\n")
			l.stamped("")
			l.print(Everywhere, " Open include file: %s\n", m.Text)
		case deck.Error:
			l.error("KEY", m.Code, m.Text)
		case deck.Warning:
			l.warning("KEY", m.Code, m.Text)
		}
	}
}
