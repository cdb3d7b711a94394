// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command newcomer does what the pages docs/install.md and docs/first-job.md say, and
// nothing else: it types their blocks of commands, one after the other, into a shell on a
// bare Debian, and fails where a command fails or the run is not what the pages promise.
//
// The bare Debian is a folder with the files of this machine's essential and required
// packages. The shell has namespaces (mounts, processes, network, host name) and cgroups of its
// own: nothing is installed on this machine. What the pages suppose is put there: the
// package with its checksums, and Nomad.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var pages = []string{"install.md", "first-job.md"}

// limit is what the project promises: from a package to a run within ten minutes of
// typing and waiting.
const limit = 10 * time.Minute

func main() {
	docs := flag.String("docs", "docs", "`directory` of the pages")
	packages := flag.String("packages", "dist", "`directory` with the deb for this machine, and SHA256SUMS")
	nomad := flag.String("nomad", "bin/nomad", "Nomad's `binary`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *docs, *packages, *nomad, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "newcomer:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, docs, packages, nomad string, out io.Writer) (err error) {
	all, err := readPages(docs, pages)
	if err != nil {
		return err
	}
	began := time.Now()
	m, err := newMachine()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.supply(packages, nomad); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "A bare Debian of %d packages is ready, in %s.\n", m.packages, time.Since(began).Round(time.Second))

	shell := m.shell(script(all))
	shell.Stderr = os.Stderr
	said, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	began = time.Now()
	if err := shell.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// All that it started ends with it, and this ends what reads its output.
	defer context.AfterFunc(ctx, func() { _ = shell.Process.Kill() })()
	text, err := show(out, said, all, began)
	if err := errors.Join(err, shell.Wait(), ctx.Err()); err != nil {
		return fmt.Errorf("a command of the pages failed, or takes too long: %w\nend of the agent's log:\n%s", err, m.agentLog())
	}
	took := time.Since(began)
	if err := promised(text); err != nil {
		return err
	}
	lines, characters := typed(all)
	_, _ = fmt.Fprintf(out, "\nDone: %d lines of %d characters to paste or type; the machine needed %s for them.\n", lines, characters, took.Round(time.Second))
	return nil
}

// show copies what the shell says to out, with each block before what it said, and when.
func show(out io.Writer, said io.Reader, all []block, began time.Time) (string, error) {
	var text strings.Builder
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		if number, is := strings.CutPrefix(line, mark); is {
			i, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil || i < 0 || i >= len(all) {
				return "", fmt.Errorf("line %q of the shell: %w", line, err)
			}
			_, _ = fmt.Fprintf(out, "\n== %s, after %s\n", all[i].where, time.Since(began).Round(time.Second))
			for typed := range strings.Lines(all[i].text) {
				_, _ = fmt.Fprintf(out, "# %s", typed)
			}
			continue
		}
		text.WriteString(line)
		_, _ = io.WriteString(out, line)
		if errors.Is(err, io.EOF) {
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// What the pages' last commands print of a pinned run that came to its end.
var (
	allocated = regexp.MustCompile(`Allocated cores? (\S+) \(1 core`)
	bound     = regexp.MustCompile(`STANDIN-AFFINITY .*cpus=(\S+)`)
	outcome   = regexp.MustCompile(`Normal termination at the end time`)
)

// promised tells whether a text has what the pages promise: the core that the driver gave
// the run, the solver's own word that each of its threads was on this one, and how it ended.
func promised(text string) error {
	given, on := allocated.FindStringSubmatch(text), bound.FindAllStringSubmatch(text, -1)
	if given == nil {
		return fmt.Errorf("nothing tells which core the run was given (%s)", allocated)
	}
	if len(on) == 0 {
		return fmt.Errorf("nothing tells on which core the solver was (%s)", bound)
	}
	for _, thread := range on {
		if thread[1] != given[1] {
			return fmt.Errorf("the run was given core %s, and its solver was on %s", given[1], thread[1])
		}
	}
	if !outcome.MatchString(text) {
		return fmt.Errorf("nothing tells how the run ended (%s)", outcome)
	}
	return nil
}

// only returns the one file that a pattern matches.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s: %d files, not one (`make dist` makes them)", pattern, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
