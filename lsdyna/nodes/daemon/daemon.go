// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package daemon is what runs on the nodes of a run that do not lead it, in the solver's
// place: it has the task's user, cgroup and CPUs, and starts there what the MPI launcher
// on the leading node asks for, as a remote shell would. It also has the other ends: the
// leader's, and the launch agent's that an MPI launcher calls like ssh.
//
// A daemon lives as long as its run: it ends with the leader, and the run ends with it.
// What it started ends with the task's cgroup.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// Bounds of what strangers can make a daemon do. A run's leader has one connection, and
// launchers one for each daemon of theirs.
const (
	maxUnproved = 32 // connections whose ends have not proved anything yet
	maxProved   = 64
	logPause    = time.Minute // between two lines on refused connections
)

// ErrLeaderLost is the error of a run whose leader, or the way to it, is gone.
var ErrLeaderLost = errors.New("the node that leads the run is lost")

// Options are what a daemon needs.
type Options struct {
	Listener net.Listener // closed by Serve
	Secret   wire.Secret
	Env      []string // of what it starts
	Dir      string   // the run folder
	Log      func(string)
}

// Daemon starts on one node what a run's launcher asks for.
type Daemon struct {
	options Options
	cert    *wire.Certificate

	unproved, proved chan struct{} // tokens
	joined           chan *leader  // the one leader
	stop             chan struct{} // closed by Stop
	stopOnce         sync.Once
	failed           chan string // what ended here that the run needs; the first of it

	mu       sync.Mutex // guards what follows
	leading  *leader
	refused  int // connections since the last line on them
	lastLine time.Time
}

// leader is the connection of the run's leader.
type leader struct {
	Join
	conn *wire.Conn
	done chan struct{} // closed when the daemon is through with it
}

// New makes a daemon.
func New(o Options) (*Daemon, error) {
	cert, err := wire.NewCertificate()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return &Daemon{
		options: o, cert: cert, unproved: make(chan struct{}, maxUnproved), proved: make(chan struct{}, maxProved),
		joined: make(chan *leader), stop: make(chan struct{}), failed: make(chan string, 1),
	}, nil
}

// Stop has the leader told that this node's task is to be stopped. It may be called more
// than once.
func (d *Daemon) Stop() { d.stopOnce.Do(func() { close(d.stop) }) }

// Serve serves one run: it waits for its leader, until ctx ends, and then for the run's
// end. An error that wraps ErrLeaderLost says that nobody told of the end.
func (d *Daemon) Serve(ctx context.Context) (End, error) {
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	context.AfterFunc(ctx, func() { _ = d.options.Listener.Close() })
	accepting := make(chan error, 1)
	connections.Go(func() { accepting <- d.accept(ctx, &connections) })
	stop := d.stop
	for {
		select {
		case l := <-d.joined:
			defer close(l.done) //nolint:gocritic // it returns
			d.options.Log(fmt.Sprintf("the run is led from node %s (allocation %s)", l.Node, l.Alloc))
			return d.follow(ctx, l)
		case err := <-accepting:
			if err == nil { // ctx has ended, which may be seen here first
				err = context.Cause(ctx)
			}
			return End{}, err
		case <-stop:
			if !d.refuseLeader() {
				stop = nil // it has just come, and is asked to stop the run
				continue
			}
			return End{}, errors.New("stopped before the node that leads the run came")
		case <-ctx.Done():
			return End{}, context.Cause(ctx)
		}
	}
}

// refuseLeader has a leader refused that did not come yet. It reports false where one is
// there.
func (d *Daemon) refuseLeader() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leading != nil {
		return false
	}
	d.leading = &leader{Join: Join{Node: "none", Alloc: "none: its task is being stopped"}}
	return true
}

// follow waits for the end of the run, as its leader tells it.
func (d *Daemon) follow(ctx context.Context, l *leader) (End, error) {
	messages := make(chan received, 1)
	go func() {
		defer close(messages)
		for {
			k, data, err := l.conn.Receive()
			select {
			case messages <- received{k, data, err}:
			case <-l.done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	stop := d.stop
	for {
		select {
		case <-ctx.Done():
			return End{}, context.Cause(ctx)
		case <-stop:
			stop = nil
			if err := l.conn.Send(kindStop, nil); err != nil {
				return End{}, fmt.Errorf("%w: %w", ErrLeaderLost, err)
			}
		case what := <-d.failed:
			if err := l.conn.SendJSON(kindFailed, failed{what}); err != nil {
				return End{}, fmt.Errorf("%w: %w", ErrLeaderLost, err)
			}
		case m := <-messages:
			if m.err != nil {
				return End{}, fmt.Errorf("%w: %w", ErrLeaderLost, m.err)
			}
			if m.kind != kindEnd {
				continue // of a later version
			}
			var end End
			if err := json.Unmarshal(m.data, &end); err != nil {
				return End{}, fmt.Errorf("%w: its last message is not valid: %w", ErrLeaderLost, err)
			}
			return end, nil
		}
	}
}

type received struct {
	kind wire.Kind
	data []byte
	err  error
}

// accept accepts connections until the listener is closed.
func (d *Daemon) accept(ctx context.Context, connections *sync.WaitGroup) error {
	for {
		c, err := d.options.Listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			var passing net.Error
			if errors.As(err, &passing) && passing.Timeout() || isOutOfFiles(err) {
				if !pause(ctx, 100*time.Millisecond) {
					return nil
				}
				continue
			}
			return fmt.Errorf("accept connections: %w", err)
		}
		select {
		case d.unproved <- struct{}{}:
		default:
			_ = c.Close()
			d.refuse(fmt.Errorf("%d connections have proved nothing yet; refused one from %s", maxUnproved, c.RemoteAddr()))
			continue
		}
		connections.Go(func() { d.serve(ctx, c) })
	}
}

// refuse counts a connection that was refused, and tells of some.
func (d *Daemon) refuse(why error) {
	d.mu.Lock()
	d.refused++
	n, due := d.refused, time.Since(d.lastLine) >= logPause
	if due {
		d.refused, d.lastLine = 0, time.Now()
	}
	d.mu.Unlock()
	if due {
		many := "a connection to the launch port"
		if n > 1 {
			many = fmt.Sprintf("%d connections to the launch port, the last one", n)
		}
		d.options.Log(fmt.Sprintf("refused %s: %v", many, why))
	}
}

// serve serves a connection. Its end proves first who it is.
func (d *Daemon) serve(ctx context.Context, raw net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	defer raw.Close()
	unproved := true
	prove := func() {
		if unproved {
			unproved = false
			<-d.unproved
		}
	}
	defer prove()
	conn, err := wire.Accept(raw, d.cert, d.options.Secret)
	if err != nil {
		d.refuse(err)
		return
	}
	select {
	case d.proved <- struct{}{}:
		defer func() { <-d.proved }()
	default:
		_ = conn.SendJSON(kindRefused, refused{fmt.Sprintf("it serves %d connections already", maxProved)})
		return
	}
	prove()
	k, data, err := conn.ReceiveBy(time.Now().Add(wire.HandshakeTimeout))
	if err != nil {
		if !errors.Is(err, io.EOF) {
			d.options.Log(fmt.Sprintf("connection with %s: %v", conn.Peer(), err))
		}
		return
	}
	switch k {
	case kindJoin:
		d.join(ctx, conn, data)
	case kindExec:
		d.execute(ctx, conn, data)
	default:
		_ = conn.SendJSON(kindRefused, refused{fmt.Sprintf("it does not know message %d: run the same version of the driver on all nodes", k)})
	}
}

// join takes a leader, and holds its connection until the daemon is through with it.
func (d *Daemon) join(ctx context.Context, conn *wire.Conn, data []byte) {
	l := &leader{conn: conn, done: make(chan struct{})}
	if err := json.Unmarshal(data, &l.Join); err != nil {
		_ = conn.SendJSON(kindRefused, refused{"its message is not valid: " + err.Error()})
		return
	}
	d.mu.Lock()
	was := d.leading
	if was == nil {
		d.leading = l
	}
	d.mu.Unlock()
	if was != nil {
		_ = conn.SendJSON(kindRefused, refused{fmt.Sprintf("node %s (allocation %s) leads the run already", was.Node, was.Alloc)})
		return
	}
	if err := conn.Send(kindJoined, nil); err != nil {
		d.options.Log(fmt.Sprintf("node %s: %v", l.Node, err)) // follow finds it lost
	}
	select {
	case d.joined <- l:
	case <-ctx.Done():
		return
	}
	<-l.done
}

// HasLeader reports whether the run has begun.
func (d *Daemon) HasLeader() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leading != nil && d.leading.conn != nil
}

// Leader is who leads the run; the zero value before it has begun.
func (d *Daemon) Leader() Join {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leading == nil || d.leading.conn == nil {
		return Join{}
	}
	return d.leading.Join
}

func pause(ctx context.Context, t time.Duration) bool {
	select {
	case <-time.After(t):
		return true
	case <-ctx.Done():
		return false
	}
}
