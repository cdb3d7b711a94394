// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// FuzzRead checks that a deck is hashed in bounded time, the same each time,
// whatever it includes.
func FuzzRead(f *testing.F) {
	f.Add([]byte("*KEYWORD\n*INCLUDE\nother.k\nmain.k\n*INCLUDE_TRANSFORM\nlong +\nname.k\n*END\n"), []byte("*INCLUDE\nmain.k\n"))
	f.Add([]byte("*INCLUDE\n../../etc/passwd\n/etc/passwd\n.\n*include_path\nlib\n"), []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, main, other []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(dir, "main.k"), main, 0o600))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "other.k"), other, 0o600))
		files := filesIn(t, dir)
		first, err := Read(ctx, files, "main.k", &Progress{})
		must.NoError(t, err)
		second, err := Read(ctx, files, "main.k", &Progress{})
		must.NoError(t, err)
		must.Eq(t, first, second)
	})
}

func FuzzIncludes(f *testing.F) {
	f.Add([]byte("*KEYWORD\n*INCLUDE\na.k\nb.k\n*INCLUDE_TRANSFORM\nlong +\nname.k\n"))
	f.Add([]byte("*INCLUDE\n +\n +\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c includeCards
		for line := range strings.Lines(string(data)) {
			name := c.line([]byte(line)[:min(len(line), maxLine)])
			must.False(t, strings.ContainsAny(name, "\n"))
			must.LessEq(t, 16*maxLine, len(name))
		}
	})
}
