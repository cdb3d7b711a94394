// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package lead is what runs on the leading node of a run over several, in the solver's
// place: it waits for the other nodes' launch daemons, runs the MPI launcher, and ends
// the run on all nodes when it ends on one.
package lead

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Between two looks at what is missing, each of which opens a file for each missing node.
const (
	lookPause   = 20 * time.Millisecond
	lookPerNode = time.Millisecond
)

// endGrace is how long the launcher has to end its ranks after SIGTERM.
const endGrace = 5 * time.Second

// Missing is a node that is not there yet.
type Missing struct {
	Index int    `json:"index"`
	Why   string `json:"why"`
}

// Options are what a leader needs.
type Options struct {
	Folder string        // the run folder
	Self   member.Record // the leading node's

	// Command makes the launcher's command, once it is known who takes part.
	Command func([]member.Record) (*exec.Cmd, error)
	// Waiting is told whom the run waits for, whenever that changes.
	Waiting func([]Missing)
	// Stop asks the solver to end, because another node's task is being stopped. It is
	// called once at most. False says that it cannot be asked, and the launcher is ended.
	Stop func(ctx context.Context, who member.Record) bool
	// Judge says how the run ended whose launcher ended with an exit code.
	Judge func(code int) (output.Kind, string)
}

// Leader leads one run.
type Leader struct {
	options Options
	stop    sync.Once
}

// New makes a leader.
func New(o Options) *Leader {
	if o.Waiting == nil {
		o.Waiting = func([]Missing) {}
	}
	if o.Stop == nil {
		o.Stop = func(context.Context, member.Record) bool { return false }
	}
	if o.Judge == nil {
		o.Judge = func(int) (output.Kind, string) { return output.Unknown, "" }
	}
	return &Leader{options: o}
}

// follower is another node of the run, whose daemon follows.
type follower struct {
	member.Record
	link *daemon.Follower

	// What its daemon says, from the moment on that it follows.
	stops chan struct{} // its task is to be stopped
	fails chan string   // what ended there that the run needs
	lost  chan error    // it is gone
}

// listen passes on what the follower's daemon says, until its link ends.
func (f *follower) listen() {
	f.lost <- f.link.Wait(func() {
		select {
		case f.stops <- struct{}{}:
		default:
		}
	}, func(what string) {
		select {
		case f.fails <- what:
		default:
		}
	})
}

// ErrNotThere is the error of a run whose nodes did not all come.
var ErrNotThere = errors.New("not all nodes of the run are there")

// Run waits for the other nodes, for as long as ctx lasts, and runs the launcher. It
// returns how the run ended, which all nodes are told. The cause of ctx is a
// StoppedError where the run is to end without having failed.
func (l *Leader) Run(ctx context.Context, patience time.Duration) (daemon.End, error) {
	followers, err := l.gather(ctx, patience)
	var end daemon.End
	if err == nil {
		end, err = l.launch(ctx, followers)
	}
	if err != nil {
		end = endOf(err)
	}
	for _, f := range followers {
		_ = f.link.End(end) // one that is lost has ended
	}
	return end, err
}

// gather waits until every node follows. It returns those that do beside an error, too.
func (l *Leader) gather(run context.Context, patience time.Duration) ([]*follower, error) {
	ctx, cancel := context.WithTimeout(run, patience)
	defer cancel()
	began, said := time.Now(), ""
	byIndex := map[int]*follower{}
	for {
		leave(byIndex)
		var missing []Missing
		for i := 1; i < l.options.Self.Nodes; i++ {
			if byIndex[i] != nil {
				continue
			}
			f, err := l.take(ctx, i)
			var differ *DiffersError
			switch {
			case err == nil:
				byIndex[i] = f
			case errors.As(err, &differ):
				return slices.Collect(maps.Values(byIndex)), err
			default:
				missing = append(missing, Missing{i, why(err)})
			}
		}
		if len(missing) == 0 {
			l.options.Waiting(nil)
			return inOrder(byIndex), nil
		}
		if text := fmt.Sprint(missing); text != said {
			said = text
			l.options.Waiting(missing)
		}
		select {
		case <-ctx.Done():
			if run.Err() != nil {
				return slices.Collect(maps.Values(byIndex)), fmt.Errorf("%w, while the run waited for %s", context.Cause(run), describe(missing))
			}
			return slices.Collect(maps.Values(byIndex)), fmt.Errorf("%w: waited %s for %s%s", ErrNotThere, time.Since(began).Round(time.Second), describe(missing), ask(missing))
		case <-time.After(lookPause + time.Duration(len(missing))*lookPerNode):
		}
	}
}

// leave lets go of the nodes that are lost or to be stopped before the run has begun:
// others may come in their place.
func leave(byIndex map[int]*follower) {
	for i, f := range byIndex {
		select {
		case <-f.stops:
			_ = f.link.End(daemon.End{Code: 1, Kind: output.Stopped, Reason: "stopped before the other nodes of the run were there"})
		case <-f.lost:
			_ = f.link.Close()
		default:
			continue
		}
		delete(byIndex, i)
	}
}

// take makes a node follow, if it is there. What an earlier run left does not answer.
func (l *Leader) take(ctx context.Context, index int) (*follower, error) {
	r, err := member.Read(l.options.Folder, l.options.Self.Run, index)
	if err != nil {
		return nil, err
	}
	secret, err := wire.ParseSecret(r.Secret)
	if err != nil {
		return nil, err
	}
	link, err := daemon.Lead(ctx, r.Address, secret, daemon.Join{Alloc: l.options.Self.Alloc, Node: l.options.Self.Node})
	if err != nil {
		return nil, fmt.Errorf("node %s (%s): %w", r.Node, r.Address, err)
	}
	f := &follower{Record: r, link: link, stops: make(chan struct{}, 1), fails: make(chan string, 1), lost: make(chan error, 1)}
	if what := l.options.Self.Differs(r); what != "" {
		err := &DiffersError{what}
		_ = link.End(daemon.End{Code: 1, Kind: output.Failed, Reason: err.Error()})
		return nil, err
	}
	go f.listen()
	return f, nil
}

func inOrder(byIndex map[int]*follower) []*follower {
	followers := make([]*follower, len(byIndex))
	for i, f := range byIndex {
		followers[i-1] = f
	}
	return followers
}

// noRecord is all that is known of a node whose record is not there: it may run, and have
// its record in another folder of the same path.
const noRecord = "it has left no record in the run folder yet"

func why(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return noRecord
	}
	return err.Error()
}

// ask asks what noRecord leaves open.
func ask(missing []Missing) string {
	if !slices.ContainsFunc(missing, func(m Missing) bool { return m.Why == noRecord }) {
		return ""
	}
	return " (has it started, and is the run folder the same on all nodes?)"
}

func describe(missing []Missing) string {
	var text strings.Builder
	for i, m := range missing {
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "node %d: %s", m.Index, m.Why)
	}
	return text.String()
}

// launch runs the launcher until it ends, a node is lost, or ctx ends.
func (l *Leader) launch(ctx context.Context, followers []*follower) (daemon.End, error) {
	all := []member.Record{l.options.Self}
	for _, f := range followers {
		all = append(all, f.Record)
	}
	cmd, err := l.options.Command(all)
	if err != nil {
		return daemon.End{}, err
	}
	if err := cmd.Start(); err != nil {
		return daemon.End{}, fmt.Errorf("start the launcher: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	for _, f := range followers {
		go l.watch(ctx, f, giveUp)
	}
	go l.watchAgents(ctx, followers, giveUp)
	select {
	case err = <-ended:
	case <-ctx.Done():
		// A launcher that ends because a node is lost may be seen first; the node is why.
		terminate(cmd.Process, ended)
		return daemon.End{}, context.Cause(ctx)
	}
	code := exitCode(err)
	if code != 0 {
		select { // the launcher may notice a lost node before this process does
		case <-ctx.Done():
			return daemon.End{}, context.Cause(ctx)
		case <-time.After(lostGrace):
		}
	}
	kind, reason := l.options.Judge(code)
	return daemon.End{Code: code, Kind: kind, Reason: reason}, nil
}

// watch ends the run, by giveUp, for what a follower's daemon says, until ctx ends.
func (l *Leader) watch(ctx context.Context, f *follower, giveUp context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.stops:
			l.stop.Do(func() { l.askToStop(ctx, f.Record, giveUp) })
		case what := <-f.fails:
			time.AfterFunc(launcherGrace, func() { giveUp(&LostError{f.Record, what}) })
		case err := <-f.lost:
			giveUp(&LostError{f.Record, err.Error()})
			return
		}
	}
}

// launcherGrace is how long a launcher has to end by itself when something that it had
// started ended. Hydra does not notice that one of its proxies is gone.
const launcherGrace = 3 * time.Second

// lostGrace is how long it is waited, after a launcher that failed, for news of a node
// that is lost.
const lostGrace = 500 * time.Millisecond

// askToStop has the run stopped, without the followers' waiting for it.
func (l *Leader) askToStop(ctx context.Context, who member.Record, giveUp context.CancelCauseFunc) {
	go func() {
		if !l.options.Stop(ctx, who) {
			giveUp(&StoppedError{fmt.Sprintf("the task of node %s (node %d of the run, allocation %s) is being stopped", who.Node, who.Index, who.Alloc)})
		}
	}()
}

// terminate ends the launcher, and with it the ranks that it can still reach. The others
// end with their node's cgroup.
func terminate(p *os.Process, ended <-chan error) {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return
	case <-time.After(endGrace):
	}
	_ = p.Kill()
	<-ended
}

func exitCode(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return e.ExitCode()
	}
	return 1
}
