// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxIncludeDepth stops a deck that includes itself.
const maxIncludeDepth = 20

// maxLogged bounds the messages kept, so that a file that is no deck at all
// does not fill the memory with one error a line.
const maxLogged = 10000

// Options changes how a deck is read.
type Options struct {
	// Long reads every card in 20 column fields (long=y on the command line).
	Long bool
}

// reader walks through a deck and its includes.
type reader struct {
	deck   *Deck
	opts   Options
	params map[string]float64
	root   string   // folder of the main file
	paths  []string // *INCLUDE_PATH
	depth  int

	keyword string // current keyword, upper case, without *
	long    bool   // the current keyword's cards are long
	card    int    // cards seen since the keyword
	entry   int    // cards seen of the current entry, for keywords that repeat
	scratch state
	titled  bool // each entry begins with a card that only names it
	named   bool // that card has been seen
	ended   bool
}

// state carries what one card says to the next card of the same keyword.
type state struct {
	part    Part
	element Element
	set     int
	section int
	next    string // a keyword's own note on what comes next
	partial string // an include name continued with " +"
}

// Read reads the deck at path. The error is only about the main file itself;
// everything inside is in the deck's log.
func Read(path string, opts Options) (*Deck, error) {
	r := &reader{deck: newDeck(), opts: opts, params: map[string]float64{}, root: filepath.Dir(path)}
	if err := r.file(path); err != nil {
		return nil, fmt.Errorf("read deck %s: %w", path, err)
	}
	r.finishKeyword()
	return r.deck, nil
}

// Parse reads a deck from memory; includes are looked for in folder dir.
func Parse(text []byte, dir string, opts Options) *Deck {
	r := &reader{deck: newDeck(), opts: opts, params: map[string]float64{}, root: dir}
	r.lines(text)
	r.finishKeyword()
	return r.deck
}

func (r *reader) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	r.lines(text)
	return nil
}

func (r *reader) lines(text []byte) {
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	for !r.ended && sc.Scan() {
		r.line(strings.TrimRight(sc.Text(), "\r\n \t"))
	}
	if err := sc.Err(); err != nil {
		r.fail(100, "a line of the input is longer than 1 MiB: %v", err)
	}
}

func (r *reader) line(line string) {
	switch {
	case strings.HasPrefix(line, "$"):
		r.comment(line)
	case strings.HasPrefix(line, "*"):
		r.finishKeyword()
		r.startKeyword(line)
	case r.keyword == "" && strings.TrimSpace(line) == "":
	default:
		r.data(line)
	}
}

// comment picks up the stand-in solver's own directives: "$ standin: hang=50".
func (r *reader) comment(line string) {
	rest := strings.TrimSpace(strings.TrimLeft(line, "$#"))
	if after, ok := strings.CutPrefix(rest, "standin:"); ok {
		r.deck.Directives = append(r.deck.Directives, strings.Fields(after)...)
	}
}

func (r *reader) startKeyword(line string) {
	word := strings.ToUpper(strings.TrimPrefix(line, "*"))
	options := ""
	if i := strings.IndexAny(word, " \t"); i >= 0 {
		word, options = word[:i], word[i:]
	}
	r.long = r.opts.Long || strings.Contains(options, "LONG=Y")
	if w, ok := strings.CutSuffix(word, "+"); ok {
		word, r.long = w, true
	}
	if w, ok := strings.CutSuffix(word, "-"); ok {
		word, r.long = w, false
	}
	r.titled, r.named = false, false
	for _, option := range []string{"_TITLE", "_ID"} {
		if base, ok := strings.CutSuffix(word, option); ok && handlers[base] != nil {
			word, r.titled = base, true
		}
	}
	r.keyword, r.card, r.entry, r.scratch = word, 0, 0, state{}
	switch {
	case word == "END":
		r.ended = true
	case word == "KEYWORD":
		if strings.Contains(options, "LONG=Y") {
			r.opts.Long = true
		}
	case handlers[word] != nil, strings.HasPrefix(word, "TITLE"):
	case known(word):
		r.warn(246, "keyword *%s is known but not modelled\nby the stand-in solver and has no effect", word)
	default:
		r.fail(246, "keyword *%s is not recognized\nKeyword read will continue but numerous errors may result", word)
	}
}

func (r *reader) data(line string) {
	if r.titled && r.entry == 0 && !r.named {
		r.named = true
		return
	}
	r.card++
	if h := handlers[r.keyword]; h != nil {
		r.entry++
		h(r, line)
		if r.entry == 0 {
			r.named = false
		}
	}
}

// finishKeyword closes a keyword whose last card leaves something open.
func (r *reader) finishKeyword() {
	if r.scratch.partial != "" {
		name := r.scratch.partial
		r.scratch.partial = ""
		r.include(name)
	}
	r.keyword = ""
}

// next starts a new entry of a keyword whose cards come in groups.
func (r *reader) next() { r.entry = 0 }

func (r *reader) fail(code int, format string, args ...any) {
	r.say(Message{Error, code, fmt.Sprintf(format, args...)})
}

func (r *reader) warn(code int, format string, args ...any) {
	r.say(Message{Warning, code, fmt.Sprintf(format, args...)})
}

func (r *reader) say(m Message) {
	if len(r.deck.Log) < maxLogged {
		r.deck.Log = append(r.deck.Log, m)
	}
}

// include opens an include file: beside the main deck, then in the include
// paths, then in the run folder.
func (r *reader) include(name string) {
	if r.depth >= maxIncludeDepth {
		r.fail(88, "in *INCLUDE file name:\nFile %s is nested more than %d deep", name, maxIncludeDepth)
		return
	}
	path, err := r.find(name)
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			r.say(Message{Opened, 0, name})
			outer := *r
			r.depth++
			r.keyword, r.ended = "", false
			r.lines(text)
			r.finishKeyword()
			r.depth = outer.depth
			// *END in an include file ends that file only.
			r.keyword, r.long, r.card, r.entry, r.scratch, r.ended =
				outer.keyword, outer.long, outer.card, outer.entry, outer.scratch, false
			return
		}
	}
	what := "does not exist"
	if !errors.Is(err, fs.ErrNotExist) {
		what = "cannot be read: " + err.Error()
	}
	r.fail(87, "in *INCLUDE file name:\nFile %s %s\nKeyword read will continue but numerous errors may result", name, what)
}

func (r *reader) find(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range append([]string{r.root}, append(r.paths, ".")...) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fs.ErrNotExist
}
