// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/strace"
)

// warmStarts come before the one that is traced, so that what is made once is there, and
// tell how long a start takes without a tracer.
const warmStarts = 10

// traceStart prints where one start goes: the system calls of the plugin, the supervisor
// and the solver's place between StartTask and the solver's first instruction.
func traceStart(ctx context.Context, bin string, out io.Writer) (err error) {
	tracer, err := exec.LookPath("strace")
	if err != nil {
		fmt.Fprintln(out, "skipped: a start is traced by strace (Debian's package strace)")
		return nil
	}
	s, err := newSite(ctx, bin)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	var bare []float64
	for i := range warmStarts {
		took, err := s.startOne(ctx, ours, i)
		if err != nil {
			return err
		}
		bare = append(bare, took.Seconds())
	}
	plugins, err := s.client.Plugins()
	if err != nil || len(plugins) != 1 {
		return fmt.Errorf("%d plugin processes, %w", len(plugins), err)
	}
	file := s.client.Path("trace")
	detach, err := attach(ctx, tracer, plugins[0].PID, file)
	if err != nil {
		return err
	}
	called, born, err := s.startTimes(ctx, warmStarts)
	if err := errors.Join(err, detach()); err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	calls, err := strace.Parse(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A start takes %.1f ms (median of %d), and %.1f ms with every system call traced, of which:\n\n",
		1e3*median(bare), len(bare), 1e3*born.Sub(called).Seconds())
	return newStartTrace(calls, plugins[0].PID, called, born).print(out)
}

// startTimes starts one task of ours: when the client called the driver, and when the solver
// came to its first instruction.
func (s *site) startTimes(ctx context.Context, i int) (called, born time.Time, err error) {
	lines, err := s.run(ctx, ours, fmt.Sprintf("start-%s-%d", ours, i), 1)
	if err != nil {
		return called, born, err
	}
	stamps, err := s.waitStamps(ctx, s.started)
	if err != nil {
		return called, born, err
	}
	for alloc, at := range perAlloc(lines, prestartDone) {
		return at, stamps[alloc].born, nil
	}
	return called, born, fmt.Errorf("the agent's log does not say %q", prestartDone)
}

// attach has strace follow a process and all that it starts, until detach is called.
func attach(ctx context.Context, tracer string, pid int, file string) (detach func() error, err error) {
	cmd := exec.CommandContext(ctx, tracer, "-f", "-ttt", "-T", "-y", "-s", "200", "-o", file, "-p", strconv.Itoa(pid))
	told, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	words := bufio.NewReader(told)
	line, err := words.ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		return nil, errors.Join(fmt.Errorf("strace: %s", line), err, cmd.Process.Kill(), cmd.Wait())
	}
	rest := make(chan struct{})
	go func() { defer close(rest); _, _ = io.Copy(io.Discard, words) }()
	return func() error {
		if err := cmd.Process.Signal(unix.SIGINT); err != nil {
			return err
		}
		<-rest
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) { // it ends by the signal
			return err
		}
		return nil
	}, nil
}

// A startTrace is one start as a list of what took time.
type startTrace struct {
	whole time.Duration
	steps []step
	sums  map[string]*sum
}

// A step is a call that is worth a line, or the number of those between two such.
type step struct {
	at   time.Duration // since StartTask was called
	who  string
	what string
	took time.Duration
}

// sum is what one kind of call comes to.
type sum struct {
	calls int
	took  time.Duration
}

// Who takes part.
const (
	pluginRole     = "plugin"
	supervisorRole = "supervisor"
	placeRole      = "solver's place"
)

// waiting are calls that wait for another of those that are listed.
var waiting = []string{"futex", "epoll_pwait", "epoll_wait", "nanosleep", "poll", "ppoll", "select", "pselect6", "waitid", "wait4", "restart_syscall", "sched_yield"}

func newStartTrace(calls []strace.Call, plugin int, called, born time.Time) startTrace {
	t := startTrace{whole: born.Sub(called), sums: map[string]*sum{}}
	roles := rolesOf(calls, plugin)
	few := map[string]int{} // by role: calls since its last line
	for _, c := range calls {
		if c.Began.Before(called) || c.Began.After(born) || slices.Contains(waiting, c.Name) {
			continue
		}
		who := roles[c.TID]
		s := t.sums[who+" "+kindOf(c)]
		if s == nil {
			s = &sum{}
			t.sums[who+" "+kindOf(c)] = s
		}
		s.calls, s.took = s.calls+1, s.took+c.Took
		what := describe(c)
		if what == "" {
			few[who]++
			continue
		}
		if few[who] > 0 {
			what += fmt.Sprintf(" (after %d other calls)", few[who])
		}
		few[who] = 0
		t.steps = append(t.steps, step{at: c.Began.Sub(called), who: who, what: what, took: c.Took})
	}
	return t
}

// rolesOf tells of each thread who it is: what the plugin's process makes is a supervisor,
// and what that makes is the solver's place.
func rolesOf(calls []strace.Call, plugin int) map[int]string {
	next := map[string]string{pluginRole: supervisorRole, supervisorRole: placeRole, placeRole: placeRole}
	roles := map[int]string{plugin: pluginRole}
	for _, c := range calls { // a clone began before its child's first call
		who, ok := roles[c.TID]
		if !ok {
			who = pluginRole // a thread that was there before strace came
			roles[c.TID] = who
		}
		if child := c.Child(); child > 0 {
			if !c.IsThread() {
				who = next[who]
			}
			roles[child] = who
		}
	}
	return roles
}

// kindOf puts calls together in the sums.
func kindOf(c strace.Call) string {
	switch c.Name {
	case "fsync", "fdatasync", "syncfs", "sync_file_range":
		return "to the disk"
	case "execve", "execveat":
		return "execute"
	case "clone", "clone3", "fork", "vfork":
		if c.IsThread() {
			return "thread"
		}
		return "fork"
	case "mmap", "munmap", "mprotect", "madvise", "brk", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "gettid", "getpid", "tgkill", "rt_sigreturn":
		return "run time" // mostly of Go
	}
	return "other calls"
}

var behind = regexp.MustCompile(`<([^<>]*)>`)

// describe is the line of a call, "" for one that only counts.
func describe(c strace.Call) string {
	file := func() string {
		if m := behind.FindStringSubmatch(c.Args); m != nil {
			return filepath.Base(m[1])
		}
		return ""
	}
	switch c.Name {
	case "fsync", "fdatasync":
		return c.Name + " " + file()
	case "execve", "execveat":
		if c.Failed() {
			return ""
		}
		_, argv, _ := strings.Cut(c.Args, "[")
		argv, _, _ = strings.Cut(argv, "]")
		return "executes " + firstWords(argv, 2)
	case "clone", "clone3", "fork", "vfork":
		if c.IsThread() {
			return ""
		}
		return "forks"
	case "rename", "renameat", "renameat2":
		return "renames to " + lastName(c.Args)
	case "mkdir", "mkdirat":
		if c.Failed() {
			return ""
		}
		return "makes " + lastName(c.Args)
	case "sched_setaffinity":
		return "binds"
	case "flock":
		return "locks " + file()
	}
	return ""
}

var quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

func lastName(args string) string {
	all := quoted.FindAllStringSubmatch(args, -1)
	if len(all) == 0 {
		return "?"
	}
	return filepath.Base(all[len(all)-1][1])
}

func firstWords(argv string, n int) string {
	var words []string
	for _, m := range quoted.FindAllStringSubmatch(argv, n) {
		words = append(words, filepath.Base(m[1]))
	}
	return strings.Join(words, " ")
}

func (t startTrace) print(out io.Writer) error {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1e3) }
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "at ms\ttook ms\twho\twhat")
	for _, s := range t.steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", ms(s.at), ms(s.took), s.who, s.what)
	}
	fmt.Fprintf(w, "%s\t\t%s\tfirst instruction of the solver\n", ms(t.whole), placeRole)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintln(w, "calls\ttook ms\twho and what for (what waits for another is left out)")
	kinds := make([]string, 0, len(t.sums))
	for kind := range t.sums {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b string) int { return cmp.Or(cmp.Compare(t.sums[b].took, t.sums[a].took), cmp.Compare(a, b)) })
	for _, kind := range kinds {
		fmt.Fprintf(w, "%d\t%s\t%s\n", t.sums[kind].calls, ms(t.sums[kind].took), kind)
	}
	return w.Flush()
}
