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
	"time"
)

// What Nomad's client says around the driver's calls, the same for every driver
// (N:client/allocrunner/taskrunner/task_runner_hooks.go, N:client/allocrunner,
// N:client/pluginmanager/drivermanager).
const (
	prestartDone  = "finished prestart hooks"         // next the client calls StartTask, or has recovered the task already
	poststartDone = "finished poststart hooks"        // the task counts as running
	taskEvent     = "Task event"                      // of type received: next the client calls RecoverTask
	wranglerSetUp = "setup client process management" // RecoverTask has returned
	pluginUsed    = "using plugin"                    // the client is connected to a driver's plugin: next SetConfig
	fingerprinted = "initial driver fingerprint"      // the driver is ready for work
	clientStarted = "started client"                  // every RecoverTask has returned

	received = "Received"
)

// A logLine is what the benchmarks need of one line of an agent's log in JSON.
type logLine struct {
	Time    time.Time `json:"@timestamp"` // with microseconds
	Message string    `json:"@message"`
	Driver  string    `json:"driver"`
	AllocID string    `json:"alloc_id"`
	Task    taskField `json:"task"` // mostly a name, an object in wranglerSetUp
	Name    string    `json:"name"` // of a single hook
	Type    string    `json:"type"` // of a task event
}

// taskField takes the allocation from a task that is logged as an object.
type taskField struct{ AllocID string }

func (t *taskField) UnmarshalJSON(raw []byte) error {
	var object struct{ AllocID string }
	if len(raw) > 0 && raw[0] == '{' {
		if err := json.Unmarshal(raw, &object); err != nil {
			return err
		}
	}
	t.AllocID = object.AllocID
	return nil
}

// alloc is the allocation that the line is about, "" for none.
func (l logLine) alloc() string {
	if l.AllocID == "" {
		return l.Task.AllocID
	}
	return l.AllocID
}

// messages are the only ones that are looked at: reading the log must not disturb
// what it is about.
var messages = [][]byte{
	[]byte(prestartDone), []byte(poststartDone), []byte(taskEvent), []byte(wranglerSetUp),
	[]byte(pluginUsed), []byte(fingerprinted), []byte(clientStarted),
}

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

// perAlloc returns when the words were first said of each allocation's task; of
// single hooks and of other events they do not count.
func perAlloc(lines []logLine, message string) map[string]time.Time {
	times := map[string]time.Time{}
	for _, l := range lines {
		if l.Message != message || l.alloc() == "" || l.Name != "" || message == taskEvent && l.Type != received {
			continue
		}
		if _, seen := times[l.alloc()]; !seen {
			times[l.alloc()] = l.Time
		}
	}
	return times
}

// first returns when the words were first said of the driver.
func first(lines []logLine, message string, d driver) (time.Time, error) {
	for _, l := range lines {
		if l.Message == message && l.Driver == string(d) {
			return l.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("the agent's log does not say %q of driver %s", message, d)
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
