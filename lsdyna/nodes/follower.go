// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/rank"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// lostCode is the exit code of a node whose leader is lost, and of one that it never had.
const lostCode = 1

// runFollower runs on a node that does not lead, in the run folder, for as long as the
// run lasts. However it ends, its driver finds why in the run folder.
func runFollower(c Config) (int, error) {
	// The allocation may have been started before, and how that ended must not be told of
	// this run.
	if err := forgetEnded(c.Self.Run, c.Self.Index); err != nil {
		return lostCode, err
	}
	e, err := takePart(c)
	if err != nil {
		e = Ended{Alloc: c.Self.Alloc, Code: lostCode, Kind: output.Failed, Reason: err.Error(), At: time.Now().UTC()}
	}
	say("the run has ended with exit code %d: %s", e.Code, strings.TrimSpace(e.Reason))
	return e.Code, writeEnded(c.Self.Run, c.Self.Index, e)
}

// takePart returns how the run ended, or why this node took no part in it.
func takePart(c Config) (e Ended, err error) {
	listener, err := net.Listen("tcp", c.Self.Address) //nolint:noctx // at once
	if err != nil {
		return e, fmt.Errorf("listen on the port launch: %w", err)
	}
	secret := wire.NewSecret()
	c.Self.Secret = secret.Hex()
	program, err := os.Executable()
	if err != nil {
		return e, err
	}
	env := append(os.Environ(), ProgramEnv+"="+program, CoresEnv+"="+rank.Plan(c.Self.Cores).String(), LeaderEnv+"="+rank.NoLeader)
	d, err := daemon.New(daemon.Options{Listener: listener, Secret: secret, Env: env, Dir: ".", Log: func(line string) { say("%s", line) }})
	if err != nil {
		return e, err
	}
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTERM, os.Interrupt)
	go func() {
		for range stops {
			d.Stop()
		}
	}()
	if err := member.Write(".", c.Self); err != nil {
		return e, err
	}
	defer func() { _ = member.Remove(".", c.Self) }()
	say("waits for the leading node, for %s", c.Patience)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	noLeader := time.AfterFunc(c.Patience, func() {
		if !d.HasLeader() {
			cancel(fmt.Errorf("the leading node did not come within %s", c.Patience))
		}
	})
	defer noLeader.Stop()
	end, served := d.Serve(ctx)
	e = Ended{Alloc: c.Self.Alloc, Leader: d.Leader().Node, Code: end.Code, Kind: end.Kind, Reason: end.Reason, At: time.Now().UTC()}
	if served != nil {
		e.Code, e.Kind, e.Reason = lostCode, output.Killed, served.Error()
		if errors.Is(served, daemon.ErrLeaderLost) {
			e.Reason = fmt.Sprintf("node %s, which led the run, is lost", e.Leader)
		}
	}
	return e, nil
}
