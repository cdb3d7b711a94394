// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/textenc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
)

// Reader turns the text of one output file into facts: stdout, messag, mes0000,
// d3hsp or status.out, of R6 to R16, SMP and MPP, explicit and implicit. It takes
// every byte once, in pieces of any size, and keeps a bounded amount of them. Text
// is treated as bytes: it may hold NUL, Latin-1, CRLF and LS-OPT's prefix.
type Reader struct {
	facts     Facts
	partial   []byte // the beginning of a line whose end has not come yet
	cut       bool   // partial has reached maxLine: the rest of the line is dropped
	inText    inText // lines may belong to the text of an error or a warning
	date      int64  // seconds of the header's date, printed before the header itself
	last      []byte // the last line that is not blank, in the bytes being written
	nodesMark string // of the leading node's lines; "" for none
	outside   around.Reader

	decoder textenc.Decoder
	labels  lines.Labels  // before the lines of this file
	begun   bool          // what a process prints at its start was seen, and no header since
	over    *Facts        // of the run before the one that begins, which has printed no header yet; nil: none begins
	inEcho  bool          // lines may belong to the echo of the command line
	pause   time.Duration // between the last run of the file and this one

	// The columns of the last progress line and their values, which save time.
	lastDt, lastDate [8]byte
	dt               float64
	midnight         int64
	dateOK           bool
}

// Write takes the next bytes. It never fails.
func (r *Reader) Write(p []byte) (int, error) {
	n := len(p)
	p = r.decoder.Decode(p)
	defer r.keepLast()
	if len(r.partial) > 0 || r.cut {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.hold(p)
			return n, nil
		}
		r.hold(p[:end])
		r.line(r.partial)
		r.keepLast() // before its bytes are overwritten
		r.partial, r.cut = r.partial[:0], false
		p = p[end+1:]
	}
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.hold(p)
			return n, nil
		}
		r.line(p[:end])
		p = p[end+1:]
	}
}

// keepLast copies the last line that is not blank out of the caller's bytes.
func (r *Reader) keepLast() {
	if r.last == nil {
		return
	}
	r.facts.LastLine, r.last = sanitize.Public(r.last, maxFactText), nil
}

// hold keeps the beginning of a line. NUL bytes at its beginning are dropped,
// so that a hole in a sparse file costs nothing.
func (r *Reader) hold(p []byte) {
	if len(r.partial) == 0 {
		p = bytes.TrimLeft(p, "\x00")
	}
	if room := maxLine - len(r.partial); len(p) > room {
		p, r.cut = p[:room], true
	}
	r.partial = append(r.partial, p...)
}

// Facts is what the complete lines up to now hold. The copy is the caller's.
func (r *Reader) Facts() Facts { return r.ofLastRun(false).clone() }

// Final is what the file holds when nothing more will come: a last line without
// a line end counts as well. The reader itself is not changed.
func (r *Reader) Final() Facts {
	last := *r
	last.facts = r.facts.clone()
	last.outside = r.outside.Clone()
	text := r.partial
	if rest := r.decoder.Rest(); len(rest) > 0 {
		text = rest
	}
	if len(text) > 0 {
		last.line(text)
		last.keepLast()
	}
	return *last.ofLastRun(true)
}

var (
	lsoptPrefix = []byte("[STDOUT] ")
	utf8Mark    = []byte("\xef\xbb\xbf") // of UTF-8, at the beginning of a file
)

// line takes one line without its line feed.
func (r *Reader) line(line []byte) {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00")
	}
	if len(line) > 0 && (line[0] == '[' || line[0] == 0xef) {
		line = bytes.TrimPrefix(bytes.TrimPrefix(line, utf8Mark), lsoptPrefix)
	}
	prefixed := false
	if !r.labels.None() {
		line, prefixed = r.labels.Strip(line)
	}
	if r.inText != ofNothing && r.errorText(line) {
		if len(bytes.TrimSpace(line)) > 0 {
			r.last = line
		}
		return
	}
	if lines.IsProgress(line) {
		r.last = line
		r.progress(line)
		return
	}
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i == len(line) {
		r.inEcho = false
		r.outside.Blank()
		return
	}
	if meaningful(line[i:]) {
		r.last = line
	}
	if r.inEcho && i >= echoIndent {
		r.arguments(line[i:])
		return
	}
	r.inEcho = false
	if r.outside.Take(&r.facts.Said, line[i:]) {
		return
	}
	if !r.classify(line[i:]) && (line[0] != ' ' || prefixed && i <= lines.MaxIndent) {
		r.outside.Words(&r.facts.Said, line[i:])
	}
}

// meaningful reports whether a line may be the last words of a run: no row of one
// character, and no line of a traceback.
func meaningful(text []byte) bool {
	switch first, last := text[0], text[len(text)-1]; {
	case strings.IndexByte("-=_*+#|", first) >= 0 && (last == first || last == ' '):
		return false
	case first == '=' && bytes.Contains(text, []byte("CLEAN")):
		return false
	case last == 'n' && bytes.HasSuffix(text, []byte("Unknown")), bytes.HasPrefix(text, []byte("Image ")), bytes.HasSuffix(text, []byte("End of error message ***")):
		return false
	case first == '[' && last == ']' && bytes.Contains(text, []byte("[0x")):
		return false
	}
	return true
}

// inText is what the text that is being read belongs to.
type inText uint8

const (
	ofNothing inText = iota
	ofError          // the last of facts.FirstErrors
	ofWarning        // the kind of warning that was counted last
)

// errorText takes a line as part of the text of an error or a warning, and reports
// whether it is part of it. The text is indented below the error and ends with an empty
// line; lines of blanks may come before it.
func (r *Reader) errorText(line []byte) bool {
	kept, most := r.facts.Kinds.Text(), maxFactText
	if r.inText == ofError {
		kept, most = &r.facts.FirstErrors[len(r.facts.FirstErrors)-1].Text, maxErrorText
	}
	text := bytes.TrimSpace(line)
	switch {
	case len(text) == 0 && *kept == "":
		if len(line) == 0 {
			r.inText = ofNothing
		}
		return true
	case len(text) == 0, !bytes.HasPrefix(line, []byte("    ")), bytes.HasPrefix(text, []byte("***")), lines.IsProgress(line), inHeader(text):
		r.inText = ofNothing
		return len(text) == 0
	}
	if *kept != "" {
		*kept += " "
	}
	*kept = sanitize.Public(append([]byte(*kept), text...), most)
	if len(*kept) >= most {
		r.inText = ofNothing
	}
	return true
}

// inHeader reports whether a line belongs to the box at the beginning of a run: a
// run that broke off may be followed by another in the same file.
func inHeader(text []byte) bool {
	return text[0] == '|' || text[0] == '_' || bytes.HasPrefix(text, []byte("Date: "))
}
