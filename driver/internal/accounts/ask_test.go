// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// hangs is a script that hangs for one user and answers for others.
const hangs = `[ "$2" = emil ] && exec sleep 3600
` + dora

// begun waits until a program runs for a user.
func begun(t *testing.T, trace, name string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Contains(runs(t, trace), name) {
			return
		}
	}
	t.Fatalf("nobody asks for %s", name)
}

func TestAsk_ADirectoryThatHangsHasItsTime(t *testing.T) {
	a, _ := testAccounts(t, "exec sleep 3600")
	a.patience = 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 { // it is no answer to keep
		_, err := a.User(ctx, "emil")
		must.EqError(t, err, `the directory does not answer (getent passwd "emil"): no answer within 20ms`)
		must.True(t, Unsure(err))
		_, err = a.Groups(ctx, User{Name: "emil"})
		must.EqError(t, err, `the directory does not answer (id -G "emil"): no answer within 20ms`)
	}
}

// The program that hangs is ended, not left behind.
func TestAsk_WhatHangsIsEnded(t *testing.T) {
	a, _ := testAccounts(t, "exec sleep 3600")
	a.patience = 20 * time.Millisecond
	_, err := a.User(t.Context(), "emil")
	must.Error(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Close() // returns when the program has ended
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the program is still there")
	}
}

func TestAsk_NobodyWaitsForAnothersQuestion(t *testing.T) {
	a, trace := testAccounts(t, hangs)
	ctx, cancel := context.WithCancel(t.Context())
	var hanging sync.WaitGroup
	hanging.Go(func() { _, _ = a.User(ctx, "emil") })
	begun(t, trace, "emil")
	_, err := a.User(t.Context(), "dora")
	must.NoError(t, err)
	a.mu.Lock()
	asking := a.asking
	a.mu.Unlock()
	must.Eq(t, 1, asking) // still: dora's answer did not come after emil's
	cancel()
	hanging.Wait() // does not wait for the program either
}

// programsEnv makes the test binary a plugin that asks for emil and is killed.
const programsEnv = "ACCOUNTS_PROGRAMS"

func TestMain(m *testing.M) {
	if programs := os.Getenv(programsEnv); programs != "" {
		a := New(context.Background(), Options{Programs: []string{programs}, Patience: time.Hour})
		_, err := a.User(context.Background(), "emil")
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestAsk_APluginThatIsKilledLeavesNothing(t *testing.T) {
	a, trace := testAccounts(t, `echo "emil is asked for by" $$ >> ${0%/*}/trace; exec sleep 3600`)
	plugin := exec.Command("/proc/self/exe")
	plugin.Env = append(os.Environ(), programsEnv+"="+a.programs[0])
	must.NoError(t, plugin.Start())
	begun(t, trace, "by ") // echo writes its line as a whole
	var pid int
	_, words, _ := strings.Cut(runs(t, trace), "emil is asked for by ")
	_, err := fmt.Sscan(words, &pid)
	must.NoError(t, err)
	must.NoError(t, plugin.Process.Kill())
	_ = plugin.Wait()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || len(args) == 0 {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func TestAsk_TheDriversEndEndsIt(t *testing.T) {
	a, trace := testAccounts(t, hangs)
	ctx, cancel := context.WithCancel(context.Background())
	a.ctx = ctx
	asked := make(chan error, 1)
	go func() {
		_, err := a.User(t.Context(), "emil")
		asked <- err
	}()
	begun(t, trace, "emil")
	cancel()
	a.Close()
	must.True(t, Unsure(<-asked))
	_, err := a.User(t.Context(), "dora")
	must.ErrorContains(t, err, "the driver ends")
}

func TestAsk_OneProgramForOneQuestion(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "gate")
	a, trace := testAccounts(t, `while [ ! -e `+fifo+` ]; do sleep 0.01; done
`+dora)
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if _, err := a.User(t.Context(), "dora"); err != nil {
				t.Error(err)
			}
		})
	}
	begun(t, trace, "dora")
	must.NoError(t, os.WriteFile(fifo, nil, 0o644))
	asking.Wait()
	must.Eq(t, "getent passwd dora\n", runs(t, trace))
}

func TestAsk_AnswersAreKeptForAWhile(t *testing.T) {
	a, trace := testAccounts(t, dora)
	now := time.Now()
	a.now = func() time.Time { return now }
	for _, step := range []struct {
		later time.Duration
		name  string
		runs  int
	}{
		{0, "dora", 1},
		{keepFound - 1, "dora", 1},
		{1, "dora", 2},
		{0, "emil", 3},
		{keepUnknown - 1, "emil", 3},
		{1, "emil", 4},
	} {
		now = now.Add(step.later)
		_, err := a.User(t.Context(), step.name)
		must.Eq(t, step.name == "dora", err == nil)
		must.Eq(t, step.runs, strings.Count(runs(t, trace), "\n"), must.Sprintf("%+v", step))
	}
}

func TestAsk_KeepsABoundedNumberOfAnswers(t *testing.T) {
	a, _ := testAccounts(t, dora)
	running := question{askUser, "hangs"}
	a.asked[running] = &answer{}
	for i := range maxKept {
		a.asked[question{askUser, fmt.Sprint(i)}] = &answer{until: time.Now().Add(time.Hour)}
	}
	_, err := a.User(t.Context(), "dora")
	must.NoError(t, err)
	must.MapLen(t, 2, a.asked)
	must.MapContainsKey(t, a.asked, running)
	delete(a.asked, running)
}

func TestAsk_RunsABoundedNumberOfPrograms(t *testing.T) {
	a, _ := testAccounts(t, dora)
	a.asking = maxAsking
	_, err := a.User(t.Context(), "dora")
	must.ErrorContains(t, err, "64 earlier questions have no answer yet")
	must.True(t, Unsure(err))
	a.asking--
	_, err = a.User(t.Context(), "dora")
	must.NoError(t, err)
}

// What the agent was started with is not the program's.
func TestAsk_TheProgramHasAnEnvironmentOfItsOwn(t *testing.T) {
	t.Setenv("LD_PRELOAD_OF_THE_AGENT", "s3cret")
	t.Setenv("PATH", "/nonexistent")
	a, _ := testAccounts(t, `/usr/bin/env | /usr/bin/sort | /usr/bin/tr '\n' ';' >&2; pwd >&2; exit 1`)
	_, err := a.User(t.Context(), "dora")
	var silent *NoAnswerError
	must.True(t, errors.As(err, &silent))
	must.StrNotContains(t, err.Error(), "s3cret")
	must.StrContains(t, err.Error(), `"LC_ALL=C;PATH=/usr/bin:/bin;PWD=/;`)
}
