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

const statusHelp = `USAGE
  nomad-driver-lsdyna status [-state-dir DIR] [-status-dir DIR] [-watch] [-json]
      [-smt isolate|share] [-usable LIST] [-sysfs DIR]

DESCRIPTION
  Draws the machine, who owns each core, and the progress of every task. A
  column is a physical core, a row one of its hardware threads; a letter is a
  task of the table below the drawing. Of a task whose run is on several nodes
  it says which of them this is, whom the run waits for, and then which nodes it
  has. What is not as it should be, of a task or in the energies, mass and time step
  of its run, follows in words, and for tasks that were
  started several times how their last runs began and ended.

  The plugin need not run. A task is alive when its record's lock is held or when
  its solver's pid, start time and boot id are right. Its cores are those of its
  pid file; where the kernel lets its threads run elsewhere, "!" marks the
  place. Cores that Nomad has reserved for tasks of other drivers come from
  Nomad's cgroups.

  The agent's user, usually root, sees all tasks. Everybody else sees his own, and
  of the others which cores they take ("x"): what the plugin wrote to status_dir a
  moment ago. Where the plugin does not run any more, it is said how old that is.

OPTIONS
  -state-dir DIR  The agent's state_dir, where it is not found; see help help.
  -status-dir DIR The agent's status_dir (/run/nomad-driver-lsdyna), which is read
                  where state_dir is another user's, and says where that is.
  -watch          Draw again every two seconds until interrupted. With -json,
                  one object a line.
  -smt MODE       isolate or share, instead of the agent's cores.smt, for the number
                  of free cores. The plugin leaves its settings in state_dir;
                  where there are none, what runs shows it, else isolate.
  -usable LIST    CPUs to give out, instead of the agent's cores.usable. Without
                  any, all that Nomad may use, but not isolated ones (isolcpus).
  -sysfs DIR      A captured machine instead of /sys.
  -json           An object with physical_cores, logical_cores,
                  hyper_threading_enabled, available_cores, cores (index, job_id,
                  pid, alloc_id, task, idle, reserved, drift, ...; job_id and pid
                  are null where a core is free, or taken by a task of another
                  user, which is not told: then taken is true) and tasks (job_id,
                  alloc_id, task, state, pid, cores, time, end_time, progress_ratio,
                  eta_seconds with eta_low_seconds and eta_high_seconds, between
                  which four of five runs end, health (energy_ratio,
                  hourglass_percent, added_mass_percent, time_step,
                  quiet_seconds, frequent_warnings, failed_first, notes of what
                  is out of the ordinary, ...), notes, last_runs, ...). Tasks
                  whose run is on several nodes have nodes, node_index (0 leads)
                  and, once they are known, nodes_text (whom the run waits for,
                  then which nodes it has), nodes_waiting (true while it waits)
                  and nodes_stop (which node asked for the stop).

ENVIRONMENT
  NO_COLOR  No colour. COLUMNS  The width where the output is no terminal.
  NOMAD_DRIVER_LSDYNA_STATE_DIR, NOMAD_DRIVER_LSDYNA_STATUS_DIR  See help help.

EXIT STATUS
  0; 1 when the records cannot be read, or there are none of a plugin; 2 for a wrong
  call.
`

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
