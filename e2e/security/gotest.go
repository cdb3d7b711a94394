// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// testPatience is how long the tests of a package may take. A test that only ends
// by this has noticed nothing.
const testPatience = 5 * time.Minute

// A suite is some tests of one package.
type suite struct {
	dir     string
	tests   []string
	overlay string // the compiler's list of changed files, "" for none
	bin     string // for the e2e tests: the binaries to test
}

// result is what came of a test.
type result string

const (
	notRun  result = "" // its process ended before
	passed  result = "passes"
	failed  result = "fails"
	skipped result = "skips"
	crashed result = "does not fail, but panics or hangs,"
)

func (r result) String() string {
	if r == notRun {
		return "does not run"
	}
	return string(r)
}

// goTest runs tests and returns what came of each. The error is about the running:
// code that does not compile, most of all.
func (o options) goTest(ctx context.Context, s suite) (map[string]result, error) {
	args := []string{"test", "-json", "-count=1", "-vet=off", "-ldflags=-s -w", "-timeout", testPatience.String(), "-run", "^(" + strings.Join(s.tests, "|") + ")$"}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+s.dir)...)
	cmd.Env = os.Environ()
	if s.overlay != "" { // also of what tests build themselves: the supervisor program
		cmd.Env = append(cmd.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+s.overlay)
	}
	if s.dir == e2eDir {
		bin, err := filepath.Abs(s.bin)
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "LSDYNA_E2E_BIN="+bin, "LSDYNA_E2E_REQUIRED=1")
	}
	// Tests clean up after an interrupt of go test no more than after its end, so
	// all of them go at once, and what they started below.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if e := endStrays(); e != nil {
		return nil, e
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("go test %s: %w", s.dir, err)
	}
	report, err := readReport(out)
	if o.verbose {
		fmt.Print(report.words.String())
	}
	if err != nil {
		return nil, fmt.Errorf("go test %s: %w", s.dir, err)
	}
	return report.results, nil
}

// event is a line of go test -json (cmd/test2json, and build-output of cmd/go).
type event struct {
	Action      string
	Test        string
	Output      string
	FailedBuild string
}

// A report is what go test -json says.
type report struct {
	results map[string]result
	words   strings.Builder
}

var errDoesNotCompile = errors.New("does not compile")

// readReport reads the results of tests, not of their parts.
func readReport(out []byte) (*report, error) {
	r := &report{results: map[string]result{}}
	down := false
	for line := range bytes.Lines(out) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return r, fmt.Errorf("read %q: %w", line, err)
		}
		r.words.WriteString(e.Output)
		if strings.HasPrefix(e.Output, "panic: ") || strings.HasPrefix(e.Output, "fatal error: ") {
			down = true // also a time-out; the test that ran is said to have failed
		}
		switch {
		case e.FailedBuild != "":
			return r, fmt.Errorf("%w:\n%s", errDoesNotCompile, r.words.String())
		case e.Test == "" || strings.Contains(e.Test, "/"):
		case e.Action == "pass":
			r.results[e.Test] = passed
		case e.Action == "skip":
			r.results[e.Test] = skipped
		case e.Action == "fail" && down:
			r.results[e.Test] = crashed
		case e.Action == "fail":
			r.results[e.Test] = failed
		}
	}
	return r, nil
}
