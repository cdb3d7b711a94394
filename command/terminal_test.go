// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// onTerminal calls run with a terminal of a given size and returns what was
// written to it.
func onTerminal(t *testing.T, columns, lines uint16, run func(tty *os.File)) string {
	t.Helper()
	master, tty, err := pty.Open()
	must.NoError(t, err)
	must.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: lines, Cols: columns}))
	var seen bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&seen, master) }) // ends with an error when the terminal is closed
	run(tty)
	must.NoError(t, tty.Close())
	reading.Wait()
	must.NoError(t, master.Close())
	return seen.String()
}

func TestStatus_coloursOnlyATerminalThatWantsThem(t *testing.T) {
	sysfs := topologytest.Of(1, 1, 1, 4, 1).Sysfs(t)
	dir := nodetest.StateDir(t)
	nodetest.Task{Job: "crash", Alloc: "a1", Name: "solve", Cores: []int{0, 1}, Stdout: nodetest.Solving(5, 1e-2)}.Make(t, dir)
	status := func(tty *os.File) {
		must.Eq(t, exitOK, Run(context.Background(), []string{"status", "-sysfs", sysfs, "-state-dir", dir, "-status-dir", ""}, tty, tty))
	}
	for name, c := range map[string]struct {
		env             map[string]string
		colour, unicode bool
	}{
		"colour and Unicode": {map[string]string{"LC_ALL": "en_US.UTF-8"}, true, true},
		"colour, no Unicode": {map[string]string{"LC_ALL": "C"}, true, false},
		"NO_COLOR":           {map[string]string{"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}, false, true},
		"dumb terminal":      {map[string]string{"LC_ALL": "C", "TERM": "dumb"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", "")
			t.Setenv("TERM", "xterm")
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			seen := onTerminal(t, 80, 24, status)
			must.Eq(t, c.colour, strings.Contains(seen, "\x1b[30;46mA A\x1b[0m"), must.Sprint(seen))
			must.Eq(t, c.colour, strings.Contains(seen, "\x1b"), must.Sprint(seen))
			must.Eq(t, c.unicode, strings.Contains(seen, "█"), must.Sprint(seen))
			must.StrContains(t, seen, "40 %")
		})
	}
}

// cancelAfter ends a context when it was written to so many times.
type cancelAfter struct {
	io.Writer
	left   int
	cancel context.CancelFunc
}

func (c *cancelAfter) Write(p []byte) (int, error) {
	if c.left--; c.left <= 0 {
		c.cancel()
	}
	return c.Writer.Write(p)
}

func TestStatus_watchDrawsUntilInterrupted(t *testing.T) {
	sysfs := topologytest.Of(1, 1, 1, 2, 1).Sysfs(t)
	dir := nodetest.StateDir(t)
	for _, args := range [][]string{{"-watch"}, {"-watch", "-json"}} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var out bytes.Buffer
		w := &cancelAfter{&out, 2, cancel}
		must.Eq(t, exitOK, Run(ctx, append([]string{"status", "-sysfs", sysfs, "-state-dir", dir}, args...), w, io.Discard))
		if len(args) == 2 {
			must.Eq(t, 2, strings.Count(out.String(), "\n"))
			must.Eq(t, 2, strings.Count(out.String(), `"available_cores":2`))
			continue
		}
		must.Eq(t, 2, strings.Count(out.String(), "No task runs."))
	}
}

func TestFrame_cutsTheMachineBeforeTheTasks(t *testing.T) {
	machine := []screen.Line{screen.Text("m1"), screen.Text("m2"), screen.Text("m3"), screen.Text("m4"), screen.Text("m5")}
	tasks := []screen.Line{screen.Text("t1"), screen.Text("t2")}
	count := func(height int) string {
		shown := frame(machine, tasks, screen.Screen{Width: 40, Height: height})
		for _, control := range []string{"\x1b[H", "\x1b[K", "\x1b[J", "\r"} {
			shown = strings.ReplaceAll(shown, control, "")
		}
		return strings.TrimSuffix(shown, "\n")
	}
	must.Eq(t, "m1\nm2\nm3\nm4\nm5\nt1\nt2", count(8))
	must.Eq(t, "m1\nm2\nm3\n... 2 more lines: enlarge the window\nt1\nt2", count(7))
	must.Eq(t, "... 5 more lines: enlarge the window\nt1\nt2", count(4))
	must.Eq(t, "t1\n... 6 more lines: enlarge the window", count(3))
	must.Eq(t, "... 7 more lines: enlarge the window", count(2))
	must.Len(t, 5, machine)
	must.Eq(t, screen.Text("m5"), machine[4])
}
