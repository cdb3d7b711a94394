// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lead

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

const patience = 20 * time.Second

var run = member.Key("default", "bar", "solve")

func record(index, nodes int) member.Record {
	return member.Record{
		Run: run, Index: index, Nodes: nodes, Alloc: "a" + string(rune('0'+index)), Node: "n" + string(rune('0'+index)), Address: "127.0.0.1:1",
		Ranks: 1, Threads: 1, Same: member.Same{Solver: "/opt/mppdyna"},
	}
}

// node is one that follows.
type node struct {
	*daemon.Daemon
	member.Record
	end    daemon.End
	err    error
	over   chan struct{}
	cancel context.CancelFunc
}

// follow starts a node's daemon and writes its record.
func follow(t *testing.T, folder string, r member.Record) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	secret := wire.NewSecret()
	r.Secret, r.Address = secret.Hex(), l.Addr().String()
	d, err := daemon.New(daemon.Options{Listener: l, Secret: secret, Dir: folder})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{Daemon: d, Record: r, over: make(chan struct{}), cancel: cancel}
	go func() { defer close(n.over); n.end, n.err = d.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-n.over })
	must.NoError(t, member.Write(folder, r))
	return n
}

// leader is one whose launcher is a shell.
func leader(folder string, nodes int, script string) Options {
	return Options{
		Folder: folder, Self: record(0, nodes),
		Command: func([]member.Record) (*exec.Cmd, error) {
			cmd := exec.Command("/bin/sh", "-c", script)
			cmd.Dir = folder
			return cmd, nil
		},
		Judge: func(code int) (output.Kind, string) { return output.Completed, "exit code " + string(rune('0'+code)) },
	}
}

func TestRun_TellsEveryNodeHowItEnded(t *testing.T) {
	dir := t.TempDir()
	second, third := follow(t, dir, record(2, 3)), follow(t, dir, record(1, 3))
	o := leader(dir, 3, "exit 3")
	var who []member.Record
	command := o.Command
	o.Command = func(all []member.Record) (*exec.Cmd, error) {
		who = all
		return command(all)
	}
	end, err := New(o).Run(t.Context(), patience)
	must.NoError(t, err)
	must.Eq(t, daemon.End{Code: 3, Kind: output.Completed, Reason: "exit code 3"}, end)
	for _, n := range []*node{second, third} {
		<-n.over
		must.NoError(t, n.err)
		must.Eq(t, end, n.end)
	}
	must.Len(t, 3, who)
	for i, r := range who {
		must.Eq(t, i, r.Index, must.Sprint("in the order of their numbers"))
	}
}

func TestRun_NamesWhoDoesNotCome(t *testing.T) {
	dir := t.TempDir()
	there := follow(t, dir, record(1, 4))
	left := record(2, 4) // of an earlier run: nobody answers there
	left.Secret = wire.NewSecret().Hex()
	must.NoError(t, member.Write(dir, left))
	o := leader(dir, 4, "echo must not run > began")
	said := make(chan []Missing, 100)
	o.Waiting = func(m []Missing) { said <- m }
	_, err := New(o).Run(t.Context(), time.Second)
	must.ErrorIs(t, err, ErrNotThere)
	must.ErrorContains(t, err, "node 2: node n2 (127.0.0.1:1)")
	must.StrHasSuffix(t, "node 3: it has left no record in the run folder yet (has it started, and is the run folder the same on all nodes?)", err.Error())
	must.Eq(t, Missing{3, "it has left no record in the run folder yet"}, (<-said)[1])
	<-there.over
	must.NoError(t, there.err)
	must.StrContains(t, there.end.Reason, "node 3: it has left no record in the run folder yet")
	began, err := filepath.Glob(filepath.Join(dir, "began"))
	must.NoError(t, err)
	must.Len(t, 0, began)
}

// A node may be drained or lost while the others are waited for. It ends at once, and
// another allocation comes in its place.
func TestRun_ANodeLeavesBeforeTheRunBegins(t *testing.T) {
	for name, leave := range map[string]func(*node){"stopped": func(n *node) { n.Stop() }, "lost": func(n *node) { n.cancel() }} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := follow(t, dir, record(1, 3))
			said := make(chan []Missing, 1000)
			o := leader(dir, 3, "exit 0")
			o.Waiting = func(m []Missing) { said <- m }
			ended := make(chan error, 1)
			go func() {
				_, err := New(o).Run(t.Context(), time.Minute)
				ended <- err
			}()
			must.Eq(t, []Missing{{2, "it has left no record in the run folder yet"}}, <-said) // so the first follows
			leave(first)
			<-first.over
			if name == "stopped" {
				must.NoError(t, first.err)
				must.StrContains(t, first.end.Reason, "stopped before the other nodes")
			}
			must.Eq(t, 2, len(<-said))
			again, last := follow(t, dir, record(1, 3)), follow(t, dir, record(2, 3))
			must.NoError(t, <-ended)
			for _, n := range []*node{again, last} {
				<-n.over
				must.Eq(t, output.Completed, n.end.Kind)
			}
		})
	}
}

func TestRun_RefusesNodesThatDiffer(t *testing.T) {
	dir := t.TempDir()
	other := record(1, 2)
	other.Same.Solver = "/opt/other"
	n := follow(t, dir, other)
	_, err := New(leader(dir, 2, "true")).Run(t.Context(), patience)
	_, differs := errors.AsType[*DiffersError](err)
	must.True(t, differs)
	must.EqError(t, err, `the nodes of a run must agree: solver is "/opt/mppdyna" on node n0 and "/opt/other" on node n1`)
	<-n.over
	must.StrContains(t, n.end.Reason, "must agree: solver")
}

func TestRun_ALostNodeEndsTheRun(t *testing.T) {
	dir := t.TempDir()
	n, stays := follow(t, dir, record(1, 3)), follow(t, dir, record(2, 3))
	o := leader(dir, 3, "trap 'exit 1' TERM; echo > began; while :; do sleep 0.1; done")
	ended := make(chan error, 1)
	go func() {
		_, err := New(o).Run(t.Context(), patience)
		ended <- err
	}()
	awaitFile(t, filepath.Join(dir, "began"))
	n.cancel()
	err := <-ended
	_, lost := errors.AsType[*LostError](err)
	must.True(t, lost)
	must.EqError(t, err, "node n1 (node 1 of the run, allocation a1): its launch daemon ended")
	<-stays.over
	must.NoError(t, stays.err)
	must.StrContains(t, stays.end.Reason, "its launch daemon ended")
}

// The launcher notices by itself that a node is lost, before its leader does.
func TestRun_TheLostNodeIsTheReasonWhyTheLauncherFailed(t *testing.T) {
	dir := t.TempDir()
	n := follow(t, dir, record(1, 2))
	o := leader(dir, 2, "echo > began; while [ ! -e gone ]; do sleep 0.05; done; exit 205")
	ended := make(chan error, 1)
	go func() {
		_, err := New(o).Run(t.Context(), patience)
		ended <- err
	}()
	awaitFile(t, filepath.Join(dir, "began"))
	must.NoError(t, exec.Command("touch", filepath.Join(dir, "gone")).Run())
	n.cancel()
	must.ErrorContains(t, <-ended, "its launch daemon ended")
}

// Hydra goes on when one of its proxies is killed.
func TestRun_WhatTheLauncherStartedFails(t *testing.T) {
	dir := t.TempDir()
	n := follow(t, dir, record(1, 2))
	o := leader(dir, 2, "trap 'exit 1' TERM; echo > began; while :; do sleep 0.1; done")
	ended := make(chan error, 1)
	go func() {
		_, err := New(o).Run(t.Context(), patience)
		ended <- err
	}()
	awaitFile(t, filepath.Join(dir, "began"))
	secret, err := wire.ParseSecret(n.Secret)
	must.NoError(t, err)
	code, err := daemon.Execute(t.Context(), n.Address, secret, []string{"kill -KILL $$"}, nil, &strings.Builder{}, &strings.Builder{})
	must.NoError(t, err)
	must.Eq(t, 137, code)
	must.ErrorContains(t, <-ended, "node n1 (node 1 of the run, allocation a1): what the MPI launcher started there ended with SIGKILL")
}

func TestRun_StopsForAnotherNode(t *testing.T) {
	for name, asked := range map[string]bool{"by its own means": true, "by the launcher's end": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n := follow(t, dir, record(1, 2))
			o := leader(dir, 2, "trap 'exit 1' TERM; echo > began; while [ ! -e stop ]; do sleep 0.05; done; exit 4")
			calls := make(chan member.Record, 5)
			o.Stop = func(_ context.Context, who member.Record) bool {
				calls <- who
				if asked {
					_ = exec.Command("touch", filepath.Join(dir, "stop")).Run()
				}
				return asked
			}
			type result struct {
				end daemon.End
				err error
			}
			ended := make(chan result, 1)
			go func() {
				end, err := New(o).Run(t.Context(), patience)
				ended <- result{end, err}
			}()
			awaitFile(t, filepath.Join(dir, "began"))
			n.Stop()
			got := <-ended
			must.Eq(t, "n1", (<-calls).Node)
			must.Zero(t, len(calls))
			if asked {
				must.NoError(t, got.err)
				must.Eq(t, 4, got.end.Code)
				return
			}
			must.EqError(t, got.err, "the task of node n1 (node 1 of the run, allocation a1) is being stopped")
			<-n.over
			must.Eq(t, daemon.End{Code: 1, Kind: output.Stopped, Reason: "stopped: " + got.err.Error()}, n.end)
		})
	}
}

func TestRun_TheLeadersOwnEnd(t *testing.T) {
	dir := t.TempDir()
	n := follow(t, dir, record(1, 2))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := New(leader(dir, 2, "trap 'exit 1' TERM; echo > began; while :; do sleep 0.1; done")).Run(ctx, patience)
		ended <- err
	}()
	awaitFile(t, filepath.Join(dir, "began"))
	cancel(&StoppedError{"n0 got SIGTERM"})
	must.EqError(t, <-ended, "n0 got SIGTERM")
	<-n.over
	must.NoError(t, n.err)
	must.Eq(t, daemon.End{Code: 1, Kind: output.Stopped, Reason: "stopped: n0 got SIGTERM"}, n.end)
}

// Who stops a run that waits for its nodes hears that, and not that a time is over.
func TestRun_TheLeadersOwnEndWhileItWaits(t *testing.T) {
	dir := t.TempDir()
	n := follow(t, dir, record(1, 3))
	o := leader(dir, 3, "true")
	said := make(chan []Missing, 1000)
	o.Waiting = func(m []Missing) { said <- m }
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := New(o).Run(ctx, time.Minute)
		ended <- err
	}()
	must.Eq(t, []Missing{{2, "it has left no record in the run folder yet"}}, <-said) // so the first follows
	cancel(&StoppedError{"n0 got SIGTERM"})
	must.EqError(t, <-ended, "n0 got SIGTERM, while the run waited for node 2: it has left no record in the run folder yet")
	<-n.over
	must.Eq(t, output.Stopped, n.end.Kind)
}

// Hydra waits for ranks whose proxy was never started.
func TestRun_AnAgentStartsNothing(t *testing.T) {
	dir := t.TempDir()
	n := follow(t, dir, record(1, 2))
	o := leader(dir, 2, "trap 'exit 1' TERM; echo > began; while :; do sleep 0.1; done")
	ended := make(chan error, 1)
	go func() {
		_, err := New(o).Run(t.Context(), patience)
		ended <- err
	}()
	awaitFile(t, filepath.Join(dir, "began"))
	must.NoError(t, member.TellAgentFailure(dir, run, member.AgentFailure{Node: 7, Why: "of no node"}))
	must.NoError(t, member.TellAgentFailure(dir, run, member.AgentFailure{Node: 1, Why: "connection refused"}))
	err := <-ended
	must.EqError(t, err, "node n1 (node 1 of the run, allocation a1): the MPI launcher's agent could start nothing there: connection refused")
	<-n.over
	must.Eq(t, err.Error(), n.end.Reason)
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found, _ := filepath.Glob(path); len(found) == 1 {
			return
		}
	}
	t.Fatalf("no %s", path)
}
