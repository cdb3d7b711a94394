// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"bytes"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/lines"
)

// A dynamic relaxation comes before the transient and ends when it converges. It counts
// cycles and problem time of its own, which may exceed the end time, so that its progress
// tells nothing of the run's. The transient begins at time 0 again.
//
// No output of one was at hand. It is known by the name of its plot file in a progress
// line (d3drlf, as the manual has it), by a problem time beyond the end time, or by a line
// that begins with the words; other outputs name it in the echo of the input, too.

// beyondEnd is the part of the end time beyond which a problem time is one of the dynamic
// relaxation: the last step may go a little over the end.
const beyondEnd = 1.1

// relaxes takes a progress line at problem time t.
func (r *Reader) relaxes(event []byte, t float64, cycle int64) {
	f := &r.facts
	switch {
	case bytes.HasPrefix(event, []byte("write d3drlf")), f.EndTime > 0 && t > beyondEnd*f.EndTime:
		f.Relaxing = true
	case f.Relaxing && t < f.Time && cycle < f.Cycle:
		f.Relaxing = false
	}
}

// relaxation takes a line that begins with the words "dynamic relaxation".
func (r *Reader) relaxation(rest []byte) {
	lower := strings.ToLower(sanitize.Line(rest, maxFactText))
	switch {
	case strings.Contains(lower, "..."), strings.Contains(lower, "="): // the echo of the input
	case lines.HasAny(lower, []string{"converge", "complete", "finish", "ended", "terminat"}) && !strings.Contains(lower, "not "):
		r.facts.Relaxing = false
	case lines.HasAny(lower, []string{"phase", "begin", "start", "progress", "step", "initiat"}):
		r.facts.Relaxing = true
	}
}
