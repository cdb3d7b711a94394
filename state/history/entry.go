// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// entryVersion is the version of Entry that this package writes. It reads all versions
// up to it, and what it knows of later ones.
const entryVersion = 1

// Entry is one run that is over. What is not known is zero or null.
type Entry struct {
	Version   int    `json:"version"`
	Run       string `json:"run"` // <alloc id>/<task>/<invocation>: no two runs have the same
	Namespace string `json:"namespace"`
	JobID     string `json:"job_id"`
	AllocID   string `json:"alloc_id"`
	Task      string `json:"task"`
	NodeName  string `json:"node"`                 // the Nomad client
	Nodes     int    `json:"nodes,omitempty"`      // of a run over several
	NodeIndex int    `json:"node_index,omitempty"` // of this one in such a run; 0 leads

	User      string `json:"user"`
	Solver    string `json:"solver"` // by its name in the agent's configuration, "" for a command of the job's own
	Solved    string `json:"solver_version"`
	Parallel  string `json:"parallel"`
	Precision string `json:"precision"`
	Input     string `json:"input"`
	RunDir    string `json:"run_dir"`

	Cores       int     `json:"cores"`        // of this node
	CoreSeconds float64 `json:"core_seconds"` // cores times wall time
	Licences    int     `json:"licences"`     // processors that the solver had a licence for, of all nodes; the leading node's
	LicenceKind string  `json:"licence"`      // network, local or ansys; "" where it got none

	Outcome   string     `json:"outcome"` // as inspect tells it
	Reason    string     `json:"reason"`
	ExitCode  *int       `json:"exit_code"`
	Signal    int        `json:"signal,omitempty"` // that ended the solver
	OOMKilled bool       `json:"oom_killed,omitempty"`
	Time      *float64   `json:"time"`     // problem time that it reached
	EndTime   *float64   `json:"end_time"` // problem time that it should reach
	Cycle     *int64     `json:"cycle"`
	Errors    int64      `json:"errors"`
	Warnings  int64      `json:"warnings"`
	Restart   string     `json:"restart,omitempty"`      // dump that it began with; "" the deck
	Dump      string     `json:"restart_file,omitempty"` // its newest dump
	Started   time.Time  `json:"started_at"`
	Ended     *time.Time `json:"ended_at"` // null: nobody saw its end
	Noted     time.Time  `json:"noted_at"` // when this was written
}

// When is when the run ended or, where nobody saw that, when it was noted.
func (e *Entry) When() time.Time {
	if e.Ended != nil {
		return *e.Ended
	}
	return e.Noted
}

// Leads reports whether the entry stands for its run: a run over several nodes has one
// on each, of which the leading node's counts as the run.
func (e *Entry) Leads() bool { return e.NodeIndex == 0 }

// Bounds of what is written.
const (
	maxText = 300     // characters of a name
	maxWhy  = 500     // characters of a reason
	maxLine = 8 << 10 // bytes of a line
)

// encode returns the entry as one line.
func (e Entry) encode() ([]byte, error) {
	e.Version = entryVersion
	for _, text := range []*string{
		&e.Namespace, &e.JobID, &e.AllocID, &e.Task, &e.NodeName, &e.User, &e.Solver, &e.Solved, &e.Parallel, &e.Precision,
		&e.Input, &e.RunDir, &e.LicenceKind, &e.Outcome, &e.Restart, &e.Dump,
	} {
		*text = clip(*text, maxText)
	}
	e.Reason = clip(e.Reason, maxWhy)
	line, err := json.Marshal(e)
	for _, text := range []*string{&e.Reason, &e.RunDir, &e.Input} {
		if err != nil || len(line) < maxLine {
			break
		}
		*text = "" // of characters that take six bytes each
		line, err = json.Marshal(e)
	}
	if err == nil && len(line) >= maxLine {
		err = errors.New("its names are too long")
	}
	if err != nil {
		return nil, fmt.Errorf("note the end of %s: %w", e.Run, err)
	}
	return append(line, '\n'), nil
}

// decode reads a line. It reports false for one that is damaged, as by a power cut.
func decode(line []byte) (e Entry, ok bool) {
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Version > 0 && e.Run != ""
}

// clip cuts a long text.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
