// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/marks"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
)

// watchEvery is the time between two drawings of status -watch.
const watchEvery = 2 * time.Second

func runStatus(ctx context.Context, args []string, s streams) error {
	fs := newFlags("status")
	agent, newReader := readerFlags(fs)
	agent.StatusFlag(fs)
	watch := fs.Bool("watch", false, "")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	r, err := newReader()
	if err != nil {
		return err
	}
	defer r.Close()
	r.StatusDir = agent.StatusDir()
	if *watch {
		return watchStatus(ctx, r, *asJSON, s)
	}
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(s.out, state.Report())
	}
	d := statusDrawing{State: state, screen: screen.Of(s.out), marks: marks.Marks{}}
	return write(s.out, d.screen.Render(append(d.machine(), d.tasks()...)))
}

// readerFlags adds the flags that status, metrics and plan share. What it returns reads
// them after the call was parsed.
func readerFlags(fs *flag.FlagSet) (*statedir.Call, func() (*node.Reader, error)) {
	agent := statedir.Flag(fs)
	smt := fs.String("smt", "", "")
	usable := fs.String("usable", "", "")
	sysfs := fs.String("sysfs", "", "")
	return agent, func() (*node.Reader, error) {
		r := &node.Reader{StateDir: agent.Dir(), Sysfs: *sysfs, Timeout: node.FolderTimeout}
		var err error
		if r.Overrides.Usable, err = cpuset.Parse(*usable); err != nil {
			return nil, usagef("-usable takes a list such as 0-7,64: %v", err)
		}
		if *smt == "" {
			return r, nil
		}
		if r.Overrides.SMT, err = allocator.ParseSMT(*smt); err != nil {
			return nil, usagef("-smt: %v", err)
		}
		return r, nil
	}
}

// watchStatus draws again and again until it is interrupted, which is how it is
// meant to end.
func watchStatus(ctx context.Context, r *node.Reader, asJSON bool, s streams) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	known := marks.Marks{}
	for ctx.Err() == nil {
		state, err := r.State(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		if err := writeFrame(state, known, asJSON, s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return nil
}

// writeFrame writes one drawing of status -watch.
func writeFrame(state *node.State, known marks.Marks, asJSON bool, s streams) error {
	if asJSON {
		data, err := json.Marshal(state.Report())
		if err != nil {
			return fmt.Errorf("encode JSON: %w", err)
		}
		return write(s.out, string(data)+"\n")
	}
	d := statusDrawing{State: state, screen: screen.Of(s.out), marks: known}
	machine, tasks := d.machine(), d.tasks()
	if !d.screen.Terminal {
		return write(s.out, d.screen.Render(append(machine, tasks...))+"\n")
	}
	tasks = append(tasks, screen.Styled(screen.Dim, state.Now.Format(time.TimeOnly)+"  every 2 s, end with Ctrl-C"))
	return write(s.out, frame(machine, tasks, d.screen))
}

// frame overwrites the terminal's content line by line, so that nothing
// flickers. What would scroll away is cut: of the machine first, because the
// tasks are what changes.
func frame(machine, tasks []screen.Line, out screen.Screen) string {
	lines := append(slices.Clone(machine), tasks...)
	if room := out.Height - 1; out.Height > 1 && len(lines) > room {
		kept := max(room-1-len(tasks), 0)     // of the machine
		shown := min(room-1-kept, len(tasks)) // of the tasks
		hidden := len(lines) - kept - shown
		more := screen.Styled(screen.Dim, fmt.Sprintf("... %d more lines: enlarge the window", hidden))
		lines = append(slices.Clone(machine[:kept]), more)
		if shown < len(tasks) { // nothing of the machine, and word of it where the eye ends
			lines = lines[:0]
		}
		lines = append(lines, tasks[:shown]...)
		if shown < len(tasks) {
			lines = append(lines, more)
		}
	}
	const home, clearLine, clearRest = "\x1b[H", "\x1b[K", "\x1b[J"
	var b strings.Builder
	b.WriteString(home)
	for _, l := range lines {
		b.WriteString(out.RenderLine(l.Cut(out.Width)) + clearLine + "\r\n")
	}
	b.WriteString(clearRest)
	return b.String()
}
