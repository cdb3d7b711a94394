// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// FuzzSnapshot checks that no two outputs of one run, whatever is in them, make
// a success that neither of them tells of, or a snapshot that cannot be shown.
func FuzzSnapshot(f *testing.F) {
	for _, data := range fixtureBytes(f) {
		f.Add(data[max(0, len(data)-1024):], data[:min(len(data), 1024)], true)
	}
	f.Fuzz(func(t *testing.T, stdout, messag []byte, known bool) {
		first, second := whole(stdout), whole(messag)
		all := []namedFacts{{name: "messag", kind: sourceMessag, Facts: second}, {name: "stdout", kind: sourceStdout, Facts: first}}
		s := combine(all)
		must.True(t, s.Errors >= 0 && s.Warnings >= 0 && s.Remaining >= 0 && s.SwitchDelay >= 0 && s.Elapsed >= 0)
		must.True(t, len(s.Dumps) <= MaxDumps && len(s.Sources) >= 1)
		o := Decide(s, Exit{Known: known})
		must.False(t, strings.ContainsAny(o.Reason, "\n\r\x00"))
		if o.Success() {
			must.True(t, first.Banner == NormalBanner || second.Banner == NormalBanner)
			must.True(t, first.Banner != ErrorBanner && second.Banner != ErrorBanner || len(s.Sources) == 1)
		}
		_, err := json.Marshal(NewReport(s, Exit{Running: true}))
		must.NoError(t, err)
	})
}

// FuzzInspect checks that a folder with any outputs can be looked at, and that
// a follower that was stored in between comes to the same.
func FuzzInspect(f *testing.F) {
	for name, data := range fixtureBytes(f) {
		f.Add(data[max(0, len(data)-1024):], "messag", uint16(len(name)))
	}
	f.Add([]byte("     |  Version : smp d R14 |\n"), "job.d3hsp01", uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, name string, cut uint16) {
		if len(name) > 64 || !filepath.IsLocal(name) || strings.ContainsAny(name, "/\x00") {
			t.Skip("no name of a file")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		must.NoError(t, os.WriteFile(path, data, 0o600))
		report, err := Inspect(ctx, path, false)
		must.NoError(t, err)
		must.NotEq(t, Running, report.Outcome)
		must.NotEq(t, "", report.Reason)
		if whole, err := Inspect(ctx, dir, true); err == nil {
			must.NotEq(t, "", whole.Reason)
		}

		folder, err := OpenRunFolder(dir, ".")
		must.NoError(t, err)
		defer folder.Close()
		at := min(int(cut), len(data))
		must.NoError(t, os.WriteFile(path, data[:at], 0o600))
		before := NewFollower(folder, FollowOptions{Stdout: name})
		_, _ = before.Poll()
		state, err := before.State()
		must.NoError(t, err)
		after, err := ResumeFollower(folder, state)
		must.NoError(t, err)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		must.NoError(t, err)
		_, err = file.Write(data[at:])
		must.NoError(t, err)
		must.NoError(t, file.Close())
		resumed, err := after.Drain(ctx)
		must.NoError(t, err)
		fresh, err := NewFollower(folder, FollowOptions{Stdout: name}).Drain(ctx)
		must.NoError(t, err)
		must.Eq(t, fresh, resumed)
	})
}

// FuzzHashDeck checks that a deck is hashed in bounded time, the same each time,
// whatever it includes.
func FuzzHashDeck(f *testing.F) {
	f.Add([]byte("*KEYWORD\n*INCLUDE\nother.k\nmain.k\n*INCLUDE_TRANSFORM\nlong +\nname.k\n*END\n"), []byte("*INCLUDE\nmain.k\n"))
	f.Add([]byte("*INCLUDE\n../../etc/passwd\n/etc/passwd\n.\n*include_path\nlib\n"), []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, main, other []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(dir, "main.k"), main, 0o600))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "other.k"), other, 0o600))
		folder, err := OpenRunFolder(dir, ".")
		must.NoError(t, err)
		defer folder.Close()
		first, err := folder.hashDeck(ctx, "main.k")
		must.NoError(t, err)
		second, err := folder.hashDeck(ctx, "main.k")
		must.NoError(t, err)
		must.Eq(t, first, second)
	})
}

// FuzzOutputName checks that names of outputs and dumps mean what they say.
func FuzzOutputName(f *testing.F) {
	for _, name := range []string{"d3dump01", "d3dump01.0003", "j.7.d3full02", "runrsf", "mes010002", "mes0000", "messag01", "a.d3hsp", "status.out", "d3dump", "mes12"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		out, ok := parseOutputName(name)
		if !ok {
			must.Eq(t, outputName{}, out)
			return
		}
		must.True(t, out.source != "" && out.seq >= 0 && out.rank >= 0)
		must.True(t, out.jobID == "" || strings.HasPrefix(name, out.jobID+"."), must.Sprint(name))
	})
}

// FuzzParseWords checks that a number of words is above 0 and told again.
func FuzzParseWords(f *testing.F) {
	for _, text := range []string{"200m", "5457K", "2g", "1", "-1", "9223372036854775807k", "m"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := ParseWords(text)
		must.Eq(t, err == nil, words > 0)
	})
}
