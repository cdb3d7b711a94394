// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package sniff

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

const (
	earlier = "    1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/12/24 15:37:13\n"
	later   = "    1302 t 1.3908E+00 dt 1.07E-03 write d3plot file            08/13/24 15:37:13\n"
	around  = "slurmstepd: error: *** JOB 1 ON n CANCELLED AT 2024-08-12T15:40:00 DUE TO TIME LIMIT ***\n"
)

// file is a file with a text.
func file(name, text string, age time.Duration) File {
	f := File{Name: name, Modified: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).Add(-age)}
	f.Take([]byte(text))
	return f
}

func TestStreams(t *testing.T) {
	for name, c := range map[string]struct {
		looked         []File
		stdout, stderr string
	}{
		"nothing":                          {nil, "", ""},
		"no output of a solver":            {[]File{file("notes.txt", "something else\n", 0)}, "", ""},
		"the newer date, whatever its age": {[]File{file("a.out", later, time.Hour), file("b.out", earlier, 0)}, "a.out", ""},
		"the file of its name":             {[]File{file("slurm-7.out", later, 0), file("slurm-7.err", around, 0), file("slurm-8.err", around, 0)}, "slurm-7.out", "slurm-7.err"},
		"words of a launcher beside it":    {[]File{file("run.log", later, 0), file("messages", around, 0)}, "run.log", "messages"},
		"words that are older":             {[]File{file("run.log", later, 0), file("messages", around, time.Hour)}, "run.log", ""},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr := Streams(c.looked)
			must.Eq(t, c.stdout, stdout)
			must.Eq(t, c.stderr, stderr)
		})
	}
}
