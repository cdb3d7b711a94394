// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package command holds the commands for operators: status, topology, plan,
// inspect, history, report, metrics, check-config, reap, release-folder, completion, man,
// version and help.
//
// No command needs a running plugin and none but reap changes anything: they read
// the records below state_dir, sysfs with its cgroup files, /proc and the outputs in
// run folders. What lies in a run folder belongs to a task's user: it is opened
// by package rundir's rules, never decides who owns a core, and reaches a
// terminal only after control characters were taken out.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// program is the name under which operators call the binary, and programSummary what it
// does.
const (
	program        = "nomad-driver-lsdyna"
	programSummary = "runs LS-DYNA under Nomad on cores that never move"
)

// Exit codes of Run.
const (
	exitOK    = 0
	exitNo    = 1 // the answer is no, or it could not be found out
	exitUsage = 2
)

// streams are where a command writes.
type streams struct {
	out, err io.Writer
}

// command is one of the operator's commands.
type command struct {
	name    string
	summary string // one line of the list of commands
	help    string // the whole page, without the heading
	// run executes the command; the error that it returns is written to stderr.
	run func(ctx context.Context, args []string, s streams) error
}

// commands returns all commands in the order in which help lists them.
func commands() []command {
	all := []command{
		{name: "status", summary: "the machine, who owns each core, and how far every task is", run: runStatus},
		{name: "topology", summary: "sockets, NUMA nodes, caches and cores of a machine", run: runTopology},
		{name: "plan", summary: "which cores a job would get, and why", run: runPlan},
		{name: "inspect", summary: "what happened in a run folder or an output file", run: runInspect},
		{name: "history", summary: "how the runs of this node ended, and their core hours", run: runHistory},
		{name: "report", summary: "a page about a task's run, to be looked at in a browser", run: runReport},
		{name: "metrics", summary: "cores and progress in Prometheus' text format", run: runMetrics},
		{name: "check-config", summary: "whether an agent would take its configuration", run: runCheckConfig},
		{name: "reap", summary: "remove the records of runs that are over and forgotten", run: runReap},
		{name: "release-folder", summary: "free a run folder whose node is gone", run: runReleaseFolder},
		{name: "completion", summary: "what completes commands and options in a shell", run: runCompletion},
		{name: "man", summary: "the man page", run: runMan},
		{name: "version", summary: "the version of this program", run: runVersion},
		{name: "help", summary: "how to use a command", run: runHelp},
	}
	for i := range all {
		all[i].help = helpOf(all[i].name)
	}
	return all
}

// find returns the command of a name.
func find(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// usageError is a mistake in the call; its text says what to do.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errAnswerNo ends a command that has said everything already.
var errAnswerNo = errors.New("the answer is no")

// Run executes the command that args begin with and returns the exit code: 0
// when it was done, 1 when the answer is no or could not be found out, 2 for a
// call that makes no sense, with a message on stderr that says what to do.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := streams{stdout, stderr}
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return exitUsage
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	c, ok := find(name)
	if !ok {
		fmt.Fprintf(stderr, "%s: there is no command %q; try: %s help\n", program, args[0], program)
		return exitUsage
	}
	return exitCode(c, c.run(ctx, args[1:], s), s)
}

// exitCode writes a command's error and turns it into an exit code.
func exitCode(c command, err error, s streams) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(s.out, c.page())
		return exitOK
	case errors.Is(err, errAnswerNo):
		return exitNo
	case errors.As(err, &usage):
		fmt.Fprintf(s.err, "%s %s: %s; see: %s help %s\n", program, c.name, usage.text, program, c.name)
		return exitUsage
	}
	hint := ""
	if closed := (*node.ClosedError)(nil); c.name != "status" && errors.As(err, &closed) {
		hint = "; without that, status tells the owner of a task how it is, and inspect tells of any run folder that you may read"
	}
	fmt.Fprintf(s.err, "%s %s: %s%s\n", program, c.name, screen.Clean(err.Error()), hint)
	return exitNo
}

// newFlags returns an empty flag set that prints nothing by itself.
func newFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse reads flags and returns the other arguments, which may stand before,
// between and behind them.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	var others []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%s", screen.Clean(err.Error()))
		}
		used := len(args) - fs.NArg()
		if used > 0 && args[used-1] == "--" || fs.NArg() == 0 {
			return append(others, fs.Args()...), nil
		}
		others = append(others, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// parseOnly is parse for a command that takes flags only.
func parseOnly(fs *flag.FlagSet, args []string) error {
	others, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return usagef("it takes no argument %q", strings.Join(others, " "))
	}
	return nil
}

// writeJSON writes a value for programs, indented for the people who look at it.
func writeJSON(w io.Writer, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	return write(w, string(data)+"\n")
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
