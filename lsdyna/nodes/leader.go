// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/agent"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/lead"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/rank"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
)

// leader runs on the leading node.
type leader struct {
	Config
	program string      // this one's path
	sent    atomic.Bool // the sense switch, for another node
}

// runLeader leads a run, in the run folder, until it has ended everywhere.
func runLeader(c Config) (int, error) {
	program, err := os.Executable()
	if err != nil {
		return 1, err
	}
	l := &leader{Config: c, program: program}
	ctx, stop := stopContext(c.Self)
	defer stop()
	if err := l.prepare(); err != nil {
		say("%s%v", output.NodesFailed, err)
		return 1, nil
	}
	defer l.cleanUp()
	leads := lead.New(lead.Options{
		Folder: ".", Self: c.Self, Command: l.command, Waiting: l.waiting, Stop: l.stop, Judge: l.judge,
	})
	end, err := leads.Run(ctx, c.Patience)
	l.clearSwitch()
	var lost *lead.LostError
	var stopped *lead.StoppedError
	switch {
	case err == nil:
	case errors.As(err, &lost):
		say("%s%v", output.NodesLost, err)
	case errors.As(err, &stopped):
		say("%s%v", output.NodesStopped, err)
	default:
		say("%s%v", output.NodesFailed, err)
	}
	return end.Code, nil
}

// stopContext ends, with a StoppedError, when the leading node's task is ended by a
// signal: its sense switch did not end the run in time, or is none to be had.
func stopContext(self member.Record) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		if s, ok := (<-signals).(syscall.Signal); ok {
			cancel(&lead.StoppedError{Why: fmt.Sprintf("the leading node %s (allocation %s) got %s", self.Node, self.Alloc, unix.SignalName(s))})
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// shimName is the script that every rank begins with.
const shimName = "rank.sh"

// appFile is what Platform MPI reads its ranks from.
const appFile = "appfile"

// shim is its text. The program may have another path on every node, and every node has
// other CPUs: the launch daemons tell their own in variables, which the leading node does
// not have, so that no launcher passes them on. The leading node's are the defaults.
const shim = `#!/bin/sh
exec "${` + ProgramEnv + `:-%s}" ` + rank.Command + ` "${` + CoresEnv + `:-%s}" "${` + LeaderEnv + `:-%s}" "$@"
`

// prepare makes what the launcher calls: the agent, by a name without arguments, and the
// shim of the ranks.
func (l *leader) prepare() error {
	if strings.ContainsAny(l.program, "\"$`\\}\n") {
		return fmt.Errorf("the driver's path %q has characters that a shell would read", l.program)
	}
	folder, err := os.Getwd()
	if err == nil {
		err = launch.CheckFolder(folder)
	}
	if err == nil {
		err = member.CheckFolder(".")
	}
	if err != nil {
		return err
	}
	l.cleanUp() // of a leader that was killed
	err = member.InFolder(".", func(dir string) error {
		return durable.WriteFile(filepath.Join(dir, shimName), fmt.Appendf(nil, shim, l.program, rank.Plan(l.Self.Cores), l.environment()))
	})
	if err != nil {
		return err
	}
	return os.Symlink(l.program, filepath.Join(member.Folder, AgentName))
}

func (l *leader) cleanUp() {
	for _, name := range []string{AgentName, shimName, appFile} {
		_ = os.Remove(filepath.Join(member.Folder, name))
	}
	member.ForgetAgentFailures(".", l.Self.Run)
	_ = os.Remove(member.Folder) // by the last one
}

// waiting says whom the run waits for.
func (l *leader) waiting(missing []lead.Missing) {
	if len(missing) == 0 {
		return
	}
	var names []string
	for _, m := range missing {
		names = append(names, fmt.Sprintf("node %d (%s)", m.Index, m.Why))
	}
	say("%s%s of %d", output.NodesWaiting, strings.Join(names, ", "), l.Self.Nodes)
}

// command makes the launcher's command.
func (l *leader) command(all []member.Record) (*exec.Cmd, error) {
	var hosts []launch.Host
	var names []string
	for _, m := range all {
		hosts = append(hosts, launch.Host{Label: agent.Host(m.Index, m.Node), Ranks: m.Ranks})
		names = append(names, fmt.Sprintf("%s with %s", m.Node, count(m.Ranks, "rank")))
	}
	folder, err := filepath.Abs(member.Folder)
	if err != nil {
		return nil, err
	}
	n := launch.Nodes{
		Hosts: hosts, Address: l.Network.Addr().String(), Network: l.Network.Masked().String(), Agent: filepath.Join(folder, AgentName), Root: l.Root, AppFile: filepath.Join(folder, appFile),
		Shim: []string{"/bin/sh", filepath.Join(folder, shimName), strconv.Itoa(l.Self.Threads)},
	}
	c, err := n.Command(l.Solver, append(slices.Clone(l.Args), memory2(all)...))
	if err != nil {
		return nil, err
	}
	say("%s%s", output.NodesThere, strings.Join(names, ", "))
	if c.AppFile != nil {
		if err := durable.WriteFile(filepath.Join(folder, appFile), c.AppFile); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(c.Path, c.Args...) //nolint:noctx // it is ended with its ranks
	cmd.Stdout, cmd.Stderr = os.Stdout, &notices{to: os.Stderr}
	cmd.WaitDelay = lateOutput
	env := os.Environ()
	if l.environment() != rank.NoLeader {
		env = rank.Plain(env)
	}
	cmd.Env = append(append(env, c.Env...), member.KeyEnv+"="+l.Self.Run)
	return cmd, nil
}

// environment is whose environment the ranks of this node have, beside their launcher's:
// one that sends it to the other nodes does not get all of it. Of a process that cannot
// be looked into it has to.
func (l *leader) environment() string {
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if !launch.SendsEnvironment(l.Solver.MPI) || err != nil || dumpable != 1 {
		return rank.NoLeader
	}
	return strconv.Itoa(os.Getpid())
}

// Nomad stops the tasks of all nodes at once: the leading node's own stop sends the
// switch then, and a second one would have a second dump written.
const (
	ownStop     = 2 * time.Second
	ownStopLook = 50 * time.Millisecond
)

// lateOutput bounds how long the launcher's messages are read after its end.
const lateOutput = time.Second

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// notices passes on the launcher's messages, and repeats in the run's stdout the one in
// which Open MPI names the rank that failed first: the driver reads that.
type notices struct {
	to   io.Writer
	line []byte
	held string // a notice that goes on in the next line
}

// notice is in Open MPI's message on the first rank that failed, behind the name by which
// mpirun was called.
const notice = " noticed that process rank "

// noticeOpen is the end of a notice that goes on in the next line, as Open MPI 5 has it.
const noticeOpen = " exited on"

// maxNotice bounds what is kept of a line.
const maxNotice = 1000

func (n *notices) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != '\n' {
			if len(n.line) < maxNotice {
				n.line = append(n.line, c)
			}
			continue
		}
		n.repeat(n.held + strings.TrimSpace(string(n.line)))
		n.line = n.line[:0]
	}
	return n.to.Write(p)
}

// repeat repeats a whole notice, and holds one whose end has not come.
func (n *notices) repeat(text string) {
	_, rest, found := strings.Cut(text, notice)
	switch {
	case n.held == "" && found && strings.HasSuffix(text, noticeOpen):
		n.held = text + " "
		return
	case found:
		fmt.Fprintln(os.Stdout, "mpirun"+notice+rest)
	}
	n.held = ""
}

// memory2 is the argument for the memory of all ranks but the first: what the node has
// that has least for each of its ranks. LS-DYNA knows one value for all.
func memory2(all []member.Record) []string {
	words := int64(0)
	for _, m := range all {
		if m.Words > 0 && (words == 0 || m.Words < words) {
			words = m.Words
		}
	}
	if words == 0 {
		return nil
	}
	return []string{"memory2=" + strconv.FormatInt(words, 10)}
}

// stop asks the solver to end, for a node whose task is to be stopped. It reports false
// where the solver cannot be asked. ctx ends with the run.
func (l *leader) stop(ctx context.Context, who member.Record) bool {
	sw, err := lsdyna.ParseStop(l.Stop)
	if err != nil {
		say(output.NodesStop+"the job has no sense switch for that, ending the launcher", who.Node)
		return false
	}
	if l.stopsItself(ctx) || ctx.Err() != nil {
		return true
	}
	if !l.looksAtSwitches(ctx) {
		say(output.NodesStop+"the solver does not look at sense switches yet and has nothing to dump, ending the launcher", who.Node)
		return false
	}
	if err := inFolder(func(f *rundir.Folder) error { return killfile.Write(f, sw) }); err != nil {
		say("cannot write the sense switch %s: %v", l.Stop, err)
		return false
	}
	l.sent.Store(true)
	say(output.NodesStop+"sent the sense switch %s", who.Node, l.Stop)
	return true
}

// looksAtSwitches reports whether the solver would take a sense switch: it does not as
// long as it waits for a licence. What cannot be read is no reason not to try.
func (l *leader) looksAtSwitches(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, ownStop)
	defer cancel()
	s, err := l.outputs(ctx)
	return err != nil || s.Phase != output.PhaseStarting && s.Phase != output.PhaseLicence
}

// outputs are what the run has printed so far.
func (l *leader) outputs(ctx context.Context) (s output.Snapshot, err error) {
	err = inFolder(func(f *rundir.Folder) (err error) {
		s, err = rundir.NewFollower(f, rundir.FollowOptions{Stdout: l.Stdout, JobID: l.JobID, Old: l.Old}).Drain(ctx)
		return err
	})
	return s, err
}

// stopsItself reports whether the leading node's own task sends the switch.
func (l *leader) stopsItself(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, ownStop)
	defer cancel()
	look := time.NewTicker(ownStopLook)
	defer look.Stop()
	for {
		var pending lsdyna.Switch
		err := inFolder(func(f *rundir.Folder) (err error) {
			pending, _, err = killfile.Read(f)
			return err
		})
		// A checkpoint's or an operator's may lie there.
		if err == nil && (pending.Terminates || pending.Unknown && pending.Word() == l.Stop) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
}

// clearSwitch takes away the switch that no solver took.
func (l *leader) clearSwitch() {
	if !l.sent.Load() {
		return
	}
	if err := inFolder(killfile.Clear); err != nil {
		say("cannot remove the sense switch that the solver did not take: %v", err)
	}
}

// judgePatience bounds the reading of the outputs of a run that is over.
const judgePatience = time.Minute

// judge finds out how the run ended: LS-DYNA exits with 0 on errors, too.
func (l *leader) judge(code int) (output.Kind, string) {
	ctx, cancel := context.WithTimeout(context.Background(), judgePatience)
	defer cancel()
	s, err := l.outputs(ctx)
	o := output.Decide(s, output.Exit{Known: true, Code: code, Launcher: l.Solver.MPI})
	if err != nil && s.Phase == "" { // nothing was read at all
		return output.Unknown, fmt.Sprintf("unknown: outputs unreadable: %v", err)
	}
	return o.Kind, o.Reason
}

func inFolder(do func(*rundir.Folder) error) error {
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	f, err := rundir.Open(folder, ".")
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}
