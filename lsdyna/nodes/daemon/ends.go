// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// ErrRefused is the error of a daemon that does not do what it is asked for.
var ErrRefused = errors.New("the node's launch daemon refused")

// dialTimeout bounds the way to a daemon.
const dialTimeout = 10 * time.Second

// dial connects with a daemon and proves who it is.
func dial(ctx context.Context, address string, s wire.Secret) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn, err := wire.Dial(raw, s)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// Follower is a daemon that follows a leader.
type Follower struct {
	conn *wire.Conn
}

// Lead makes a daemon follow this process.
func Lead(ctx context.Context, address string, s wire.Secret, j Join) (*Follower, error) {
	conn, err := dial(ctx, address, s)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err = conn.SendJSON(kindJoin, j); err == nil {
		var k wire.Kind
		var data []byte
		k, data, err = conn.ReceiveBy(time.Now().Add(wire.HandshakeTimeout))
		if err == nil && k != kindJoined {
			err = refusal(k, data)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &Follower{conn: conn}, nil
}

// Wait waits for what the daemon has to say: stop is called when its node's task is to
// be stopped, fail when something ended there that the run needs. It returns when the
// daemon, or the way to it, is gone.
func (f *Follower) Wait(stop func(), fail func(what string)) error {
	for {
		k, data, err := f.conn.Receive()
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return errors.New("its launch daemon ended")
		}
		if err != nil {
			return fmt.Errorf("it does not answer: %w", err)
		}
		switch k {
		case kindStop:
			stop()
		case kindFailed:
			var m failed
			if err := json.Unmarshal(data, &m); err != nil {
				return err
			}
			fail(m.What)
		}
	}
}

// End tells the daemon how the run ended.
func (f *Follower) End(e End) error {
	return errors.Join(f.conn.SendJSON(kindEnd, e), f.conn.Close())
}

// Close leaves the daemon without a word: its leader is lost.
func (f *Follower) Close() error { return f.conn.Close() }

// StartError is the error of Execute where nothing was executed.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// Execute executes words on a daemon's node, as a remote shell does: they are joined by
// blanks and given to a shell. It returns the exit code.
func Execute(ctx context.Context, address string, s wire.Secret, words, env []string, stdout, stderr io.Writer) (int, error) {
	conn, err := dial(ctx, address, s)
	if err != nil {
		return unreachable, &StartError{err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.SendJSON(kindExec, exec{Script: strings.Join(words, " "), Env: env}); err != nil {
		return unreachable, &StartError{err}
	}
	for {
		k, data, err := conn.Receive()
		if err != nil {
			return unreachable, fmt.Errorf("the node's launch daemon is gone: %w", err)
		}
		switch k {
		case kindStdout:
			_, err = stdout.Write(data)
		case kindStderr:
			_, err = stderr.Write(data)
		case kindExited:
			var e exited
			if err := json.Unmarshal(data, &e); err != nil {
				return unreachable, fmt.Errorf("the node's launch daemon: %w", err)
			}
			return e.Code, nil
		default:
			return unreachable, &StartError{refusal(k, data)}
		}
		if err != nil {
			return unreachable, fmt.Errorf("pass on output: %w", err)
		}
	}
}

// refusal is the error of an answer that is no yes.
func refusal(k wire.Kind, data []byte) error {
	var r refused
	if k != kindRefused || json.Unmarshal(data, &r) != nil {
		return fmt.Errorf("%w: message %d is not an answer", ErrRefused, k)
	}
	return fmt.Errorf("%w: %s", ErrRefused, r.Why)
}
