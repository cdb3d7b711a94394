// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// What Nomad's client says around the driver's calls, the same for every driver
// (N:client/allocrunner/taskrunner/task_runner_hooks.go, N:client/client.go).
const (
	prestartDone  = "finished prestart hooks"  // next the client calls StartTask, or has recovered the task already
	poststartDone = "finished poststart hooks" // the task counts as running
	driversReady  = "detected drivers"         // next the client restores its tasks: RecoverTask one after the other
	clientStarted = "started client"           // every RecoverTask has returned
)

// A logLine is what the benchmarks need of one line of an agent's log in JSON.
type logLine struct {
	Time    time.Time `json:"@timestamp"` // with microseconds
	Message string    `json:"@message"`
	AllocID string    `json:"alloc_id"`
	Name    string    `json:"name"` // of a single hook
}

// messages are the only ones that are looked at: reading the log must not disturb
// what it is about.
var messages = [][]byte{[]byte(prestartDone), []byte(poststartDone), []byte(driversReady), []byte(clientStarted)}

// parseLine returns a line of a log if it is a JSON object with a time and may be
// one of ours. An agent's first words are plain text.
func parseLine(line []byte) (l logLine, ok bool) {
	known := func(message []byte) bool { return bytes.Contains(line, message) }
	if !slices.ContainsFunc(messages, known) {
		return l, false
	}
	return l, json.Unmarshal(line, &l) == nil && !l.Time.IsZero()
}

// A logTail follows a log from the place where it was when it was made.
type logTail struct {
	file    *os.File
	partial []byte // an incomplete last line
	lines   []logLine
}

// followLog returns a tail of the log that begins at its present end.
func followLog(path string) (*logTail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("agent's log: %w", err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("agent's log: %w", err)
	}
	return &logTail{file: f}, nil
}

func (t *logTail) close() { _ = t.file.Close() }

// read returns every line so far.
func (t *logTail) read() ([]logLine, error) {
	raw, err := io.ReadAll(t.file)
	if err != nil {
		return nil, fmt.Errorf("agent's log: %w", err)
	}
	raw = append(t.partial, raw...)
	end := bytes.LastIndexByte(raw, '\n') + 1
	t.partial = bytes.Clone(raw[end:])
	for line := range bytes.Lines(raw[:end]) {
		if l, ok := parseLine(line); ok {
			t.lines = append(t.lines, l)
		}
	}
	return t.lines, nil
}

// perAlloc returns when each allocation's task first said the words.
func perAlloc(lines []logLine, message string) map[string]time.Time {
	times := map[string]time.Time{}
	for _, l := range lines {
		if l.Message != message || l.AllocID == "" || l.Name != "" {
			continue
		}
		if _, seen := times[l.AllocID]; !seen {
			times[l.AllocID] = l.Time
		}
	}
	return times
}

// first returns when words that begin so were first said.
func first(lines []logLine, message string) (time.Time, error) {
	for _, l := range lines {
		if strings.HasPrefix(l.Message, message) {
			return l.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("the agent's log does not say %q", message)
}

// latest returns the newest of the times.
func latest(times map[string]time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
