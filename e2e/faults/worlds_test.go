// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestShares(t *testing.T) {
	must.Eq(t, []int{250, 250, 250, 250}, shares(1000, 4))
	must.Eq(t, []int{8, 8, 9}, shares(25, 3))
	must.Eq(t, []int{7}, shares(7, 1))
}

func TestReport_isReadAsItIsWritten(t *testing.T) {
	want := report{faults: 250, jobs: 181}
	var got report
	got.read(" 250 kill plugin · 12.3s")
	must.Eq(t, report{}, got)
	got.read(want.line(42*time.Minute+14*time.Second, ""))
	must.Eq(t, want, got)
	must.Eq(t, "250 faults in 4 worlds in 10m0s, 25 a minute, 181 jobs: nothing lost", want.line(10*time.Minute, " in 4 worlds"))
}

// TestWorldProcess is no test but what TestRunWorld runs.
func TestWorldProcess(t *testing.T) {
	switch os.Getenv("FAULTS_TEST_WORLD") {
	case "":
		t.Skip("for TestRunWorld")
	case "prints":
		fmt.Println("one")
		fmt.Print("two and")
		fmt.Fprintln(os.Stderr, " three")
	case "loses":
		fmt.Println("lost")
		os.Exit(1)
	case "waits":
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		fmt.Println("ready")
		<-interrupts
		fmt.Println("checked")
	}
	os.Exit(0)
}

func TestRunWorld(t *testing.T) {
	run := func(what string) (lines []string, err error) {
		lost, stop := context.WithCancel(t.Context())
		defer stop()
		cmd := exec.Command(os.Args[0], "-test.run=^TestWorldProcess$")
		cmd.Env = append(os.Environ(), "FAULTS_TEST_WORLD="+what)
		err = runWorld(lost, nil, cmd, func(line string) {
			lines = append(lines, line)
			if line == "ready" {
				stop()
			}
		})
		return lines, err
	}
	lines, err := run("prints")
	must.NoError(t, err)
	must.Eq(t, []string{"one", "two and three"}, lines)
	lines, err = run("loses")
	must.ErrorContains(t, err, "exit status 1")
	must.Eq(t, []string{"lost"}, lines)
	t.Run("where another world lost something it ends with the checks of an end", func(t *testing.T) {
		lines, err := run("waits")
		must.NoError(t, err)
		must.Eq(t, []string{"ready", "checked"}, lines)
	})
}
