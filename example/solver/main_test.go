// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test binary is the solver itself when this variable is set.
const asSolver = "STANDIN_TEST_AS_SOLVER"

func TestMain(m *testing.M) {
	if os.Getenv(asSolver) != "" {
		os.Exit(execute(os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// job is one execution of the solver in a run folder.
type job struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	err bytes.Buffer
}

// folder is a run folder with a deck of example/decks in it.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join("..", "decks", name)
	files, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(source, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f.Name()), string(text))
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// start runs the solver in dir; words with = in capitals are environment.
func start(t *testing.T, dir string, words ...string) *job {
	t.Helper()
	return launch(t, dir, []string{executable(t)}, words...)
}

func executable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func launch(t *testing.T, dir string, command []string, words ...string) *job {
	t.Helper()
	j := &job{t: t, dir: dir}
	// Under the race detector every solver would sleep a second at its exit.
	env := append(os.Environ(), asSolver+"=1", "LSTC_LICENSE=network", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	for _, w := range words {
		if strings.HasPrefix(w, "STANDIN_") || strings.HasPrefix(w, "LSTC_") {
			env = append(env, w)
		} else {
			command = append(command, w)
		}
	}
	j.cmd = exec.Command(command[0], command[1:]...)
	j.cmd.Dir, j.cmd.Env, j.cmd.Stderr = dir, env, &j.err
	out, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	j.cmd.Stdout = out
	if err := j.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	t.Cleanup(func() { // only when the test gave up on it
		if j.cmd.ProcessState == nil {
			_ = j.cmd.Process.Kill()
			_ = j.cmd.Wait()
		}
	})
	return j
}

// wait waits for the end and returns the exit code, or -1 for a signal.
func (j *job) wait() int {
	j.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = j.cmd.Process.Kill() })
	defer timer.Stop()
	err := j.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		j.t.Fatal(err)
	}
	return j.cmd.ProcessState.ExitCode()
}

func (j *job) stdout() string { return read(j.t, filepath.Join(j.dir, "stdout")) }

func (j *job) file(name string) string { return read(j.t, filepath.Join(j.dir, name)) }

// slow skips a test that follows a whole run: under the race detector (-short)
// shorter ones go through the same code.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole run takes too long for -short")
	}
}

// cycles is the word that ends a run after n cycles, or a fifth with -short.
func cycles(n int) string {
	if testing.Short() {
		n = max(1, n/5)
	}
	return "ncycle=" + strconv.Itoa(n)
}

// until waits for something to become true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}

// says waits for text on stdout.
func (j *job) says(text string) {
	j.t.Helper()
	until(j.t, text, func() bool { return strings.Contains(j.stdout(), text) })
}

// solve runs to the end and demands an exit code.
func solve(t *testing.T, want int, dir string, words ...string) *job {
	t.Helper()
	j := start(t, dir, words...)
	if code := j.wait(); code != want {
		t.Fatalf("exit code %d, not %d\n%s\n%s", code, want, j.stdout(), j.err.String())
	}
	return j
}

func demand(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("does not say %q", p)
		}
	}
}

func refuse(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("says %q", p)
		}
	}
}
