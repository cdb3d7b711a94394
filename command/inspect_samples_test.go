// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// sample is a row of the table in the README beside real outputs of LS-DYNA.
type sample struct {
	file, what       string
	time, end, cycle string // of this file
}

// samplesOf reads the table. A cell may hold two files, the second as what is
// different at its end, and then two values or one for both.
func samplesOf(readme string) []sample {
	var all []sample
	for line := range strings.Lines(readme) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || strings.HasPrefix(line, "|---") || strings.Contains(cells[0], "file ") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		files := strings.Split(cells[0], ", ")
		for i, name := range files {
			if i > 0 && strings.ContainsAny(name[:1], "-.") { // -b.stdout, .d3hsp
				name = files[0][:strings.LastIndex(files[0], name[:1])] + name
			}
			all = append(all, sample{name, cells[1], nth(cells[2], i), nth(cells[3], i), nth(cells[4], i)})
		}
	}
	return all
}

func nth(cell string, i int) string {
	if values := strings.Split(cell, ", "); i < len(values) {
		return values[i]
	}
	return cell
}

// outcome is the verdict that the words of a row stand for.
func (s sample) outcome() output.Kind {
	switch {
	case strings.Contains(s.what, "side files"):
		return output.Unknown
	case strings.Contains(s.what, "stopped by the switch"):
		return output.Stopped
	case strings.Contains(s.what, "SIGTERM"):
		return output.Killed
	case strings.Contains(s.what, "errors"):
		return output.Failed
	}
	return output.Completed
}

// endTime is null where the row says in words that the file does not tell it.
func (s sample) endTime() *float64 {
	value, only, limited := strings.Cut(s.end, " (") // 240 (d3hsp)
	end, err := strconv.ParseFloat(value, 64)
	if err != nil || limited && !strings.HasSuffix(s.file, strings.TrimSuffix(only, ")")) {
		return nil
	}
	return &end
}

func TestInspect_everySampleGivesItsRow(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "samples")
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Skip("no real outputs beside this repository")
	}
	rows := map[string]bool{}
	for _, s := range withDecks(t, dir, samplesOf(string(readme))) {
		rows[s.file] = true
		t.Run(s.file, func(t *testing.T) { checkSample(t, filepath.Join(dir, s.file), s) })
	}
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	for _, e := range entries {
		must.True(t, rows[e.Name()] || e.IsDir() || e.Name() == "README.md", must.Sprint(e.Name()))
	}
}

// withDecks puts the decks in the place of their folder: no outputs at all.
func withDecks(t *testing.T, dir string, all []sample) []sample {
	t.Helper()
	var list []sample
	for _, s := range all {
		if !strings.HasSuffix(s.file, "/") {
			list = append(list, s)
			continue
		}
		decks, err := os.ReadDir(filepath.Join(dir, s.file))
		must.NoError(t, err)
		for _, deck := range decks {
			list = append(list, sample{file: s.file + deck.Name(), what: "side files"})
		}
	}
	return list
}

func checkSample(t *testing.T, path string, s sample) {
	r := call(t, "inspect", "-json", path)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	var got output.Report
	must.NoError(t, json.Unmarshal([]byte(r.out), &got))
	must.Eq(t, s.outcome(), got.Outcome, must.Sprint(got.Reason))
	must.Eq(t, s.endTime(), got.EndTime)
	if last, err := strconv.ParseFloat(s.time, 64); err == nil {
		cycle, err := strconv.ParseInt(s.cycle, 10, 64)
		must.NoError(t, err)
		must.Eq(t, []any{last, cycle}, []any{*got.Time, *got.Cycle})
	} else {
		must.Nil(t, got.Time)
	}
	for _, word := range strings.FieldsFunc(s.what, func(r rune) bool { return strings.ContainsRune(" ,:", r) }) {
		switch {
		case word[0] == 'R' && len(word) > 1 && word[1] >= '0' && word[1] <= '9':
			must.Eq(t, word, *got.Version)
		case word == "SMP":
			must.Eq(t, lsdyna.SMP, *got.Parallel)
		case word == "single", word == "double":
			must.Eq(t, lsdyna.Precision(word), *got.Precision)
		}
	}
	if _, words, ok := strings.Cut(s.what, "banner, "); ok { // 6 errors, no error
		want, _ := strconv.ParseInt(strings.Fields(words)[0], 10, 64)
		must.Eq(t, want, *got.Errors)
	}
	if at, ok := strings.CutSuffix(s.what, " s"); ok { // …, 16,096 s
		seconds, err := strconv.ParseFloat(strings.ReplaceAll(at[strings.LastIndex(at, " ")+1:], ",", ""), 64)
		must.NoError(t, err)
		must.Eq(t, seconds, *got.ElapsedSeconds)
	}
}

func TestSamplesOf_readsCellsWithTwoFiles(t *testing.T) {
	const table = "| file | what it is | last t | end t | cycles |\n|---|---|---|---|---|\n" +
		"| a.messag, .d3hsp | R14.0, stopped by the switch | 1 | 240 (d3hsp) | 9 |\n| b-a.stdout, -b.stdout | SIGTERM | 8, 9 | 120 | 9, 91 |\n| c, d | side files | | | |\n"
	all := samplesOf(table)
	must.Eq(t, []sample{
		{"a.messag", "R14.0, stopped by the switch", "1", "240 (d3hsp)", "9"},
		{"a.d3hsp", "R14.0, stopped by the switch", "1", "240 (d3hsp)", "9"},
		{"b-a.stdout", "SIGTERM", "8", "120", "9"},
		{"b-b.stdout", "SIGTERM", "9", "120", "91"},
		{"c", "side files", "", "", ""},
		{"d", "side files", "", "", ""},
	}, all)
	must.Nil(t, all[0].endTime())
	must.Eq(t, 240, *all[1].endTime())
}
