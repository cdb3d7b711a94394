// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
)

// As raw_exec answers a script check: stdout and stderr are one stream, whose end is
// kept, and a command that is cut off has the exit code -1 and what it printed.
func TestExecTask_AnswersAsRawExecDoes(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script("exec sleep 3600"))
	var numbers strings.Builder
	for i := 1; i <= 3000; i++ {
		fmt.Fprintln(&numbers, i)
	}
	long := numbers.String() + "end\n"
	for name, c := range map[string]struct {
		script string
		code   int
		want   string
	}{
		"both streams": {"echo out; echo err >&2; exit 7", 7, "out\nerr\n"},
		"much output":  {"seq 1 3000; echo end >&2", 0, long[len(long)-drivers.CheckBufSize:]},
		"cut off":      {"echo begun; exec sleep 3600", -1, "begun\n"},
		"both cut off": {"echo begun >&2; sleep 3600 | cat", -1, "begun\n"},
	} {
		var result *drivers.ExecTaskResult
		if c.code == -1 {
			result = r.cutOff(c.script)
		} else {
			var err error
			result, err = n.ExecTask(r.id, []string{"sh", "-c", c.script}, patience)
			must.NoError(t, err, must.Sprint(name))
		}
		must.Eq(t, c.code, result.ExitResult.ExitCode, must.Sprint(name))
		must.Eq(t, c.want, string(result.Stdout), must.Sprint(name))
		must.SliceEmpty(t, result.Stderr)
	}
}

// cutOff executes a script that says something and does not end by itself, with
// enough time for what it says.
func (r *run) cutOff(script string) *drivers.ExecTaskResult {
	r.n.t.Helper()
	for timeout := 500 * time.Millisecond; timeout < patience; timeout *= 2 {
		result, err := r.n.ExecTask(r.id, []string{"sh", "-c", script}, timeout)
		if errors.Is(err, context.DeadlineExceeded) {
			continue // the launch was cut off
		}
		must.NoError(r.n.t, err, must.Sprint(script))
		if len(result.Stdout) > 0 {
			return result
		}
	}
	r.n.t.Fatalf("nothing is heard of %q", script)
	return nil
}

// A timeout that has passed already executes nothing.
func TestExecTask_WithoutTime(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script("exec sleep 3600"))
	for _, timeout := range []time.Duration{0, -time.Second} {
		_, err := n.ExecTask(r.id, []string{"touch", "executed"}, timeout)
		must.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = os.Stat(filepath.Join(r.folder, "executed"))
		must.ErrorIs(t, err, os.ErrNotExist)
	}
}

// Endless output costs no memory.
func TestExecTask_KeepsLittleOfEndlessOutput(t *testing.T) {
	n := newLoneNode(t)
	r := n.start(n.script("exec sleep 3600"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	result, err := n.ExecTask(r.id, []string{"sh", "-c", "yes | head -c 100000000"}, patience)
	must.NoError(t, err)
	runtime.ReadMemStats(&after)
	must.Eq(t, drivers.CheckBufSize, len(result.Stdout))
	must.Less(t, 32<<20, after.TotalAlloc-before.TotalAlloc)
	result = r.cutOff("exec yes")
	must.Eq(t, -1, result.ExitResult.ExitCode)
	must.Eq(t, drivers.CheckBufSize, len(result.Stdout))
}

// What a command has started ends with its timeout, also in a session of its own, and
// the solver goes on.
func TestExecTask_EndsAllOfACommandWithItsTimeout(t *testing.T) {
	n := newNode(t)
	const sleeper = `sh -c 'echo $$ > exec.pid; echo begun; exec sleep 3600'`
	for name, script := range map[string]string{
		"the command itself":       "exec " + sleeper,
		"a pipeline":               sleeper + " | cat",
		"a child that is ignored":  `trap "" TERM HUP; ` + sleeper + " & wait; sleep 3600",
		"a session of its own":     "setsid " + sleeper + " & sleep 3600",
		"an orphan in the session": "(" + sleeper + " &); sleep 3600",
	} {
		r := n.start(n.script("exec sleep 3600"))
		result := r.cutOff(script)
		must.Eq(t, -1, result.ExitResult.ExitCode, must.Sprint(name))
		pid, err := strconv.Atoi(strings.TrimSpace(r.read("exec.pid")))
		must.NoError(t, err, must.Sprint(name))
		must.False(t, alive(pid), must.Sprint(name))
		must.True(t, alive(r.pid))
	}
}
