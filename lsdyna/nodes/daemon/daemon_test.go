// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// A node is a daemon that serves, and what came of it.
type node struct {
	*Daemon
	t       *testing.T
	address string
	secret  wire.Secret
	dir     string
	end     func() // gives up waiting
	over    chan struct{}

	mu   sync.Mutex // guards what follows
	logs []string

	told End // once over
	err  error
}

func start(t *testing.T) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	n := &node{t: t, address: l.Addr().String(), secret: wire.NewSecret(), dir: t.TempDir(), over: make(chan struct{})}
	n.Daemon, err = New(Options{Listener: l, Secret: n.secret, Env: []string{"PATH=" + os.Getenv("PATH"), "MINE=1"}, Dir: n.dir, Log: func(line string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.logs = append(n.logs, line)
	}})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	n.end = cancel
	go func() {
		defer close(n.over)
		n.told, n.err = n.Serve(ctx)
	}()
	t.Cleanup(func() { cancel(); <-n.over })
	return n
}

// log waits until a line with a text was logged.
func (n *node) log(text string) {
	n.t.Helper()
	eventually(n.t, "a line with "+text, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return strings.Contains(strings.Join(n.logs, "\n"), text)
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (n *node) lead() *Follower {
	n.t.Helper()
	f, err := Lead(n.t.Context(), n.address, n.secret, Join{Alloc: "a0", Node: "n0"})
	must.NoError(n.t, err)
	n.t.Cleanup(func() { _ = f.Close() })
	return f
}

func (n *node) execute(ctx context.Context, words ...string) (code int, stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	code, err = Execute(ctx, n.address, n.secret, words, []string{"THEIRS=2"}, &out, &errs)
	return code, out.String(), errs.String(), err
}

func TestDaemon_ExecutesLikeARemoteShell(t *testing.T) {
	n := start(t)
	n.lead()
	for name, c := range map[string]struct {
		words                  []string
		code                   int
		wantStdout, wantStderr string
	}{
		"words are joined":           {[]string{"printf", `"%s|"`, "'a b'", "c"}, 0, "a b|c|", ""},
		"a snippet of a shell":       {[]string{"X=3; export X;", "echo $X $MINE $THEIRS >&2; pwd"}, 0, n.dir + "\n", "3 1 2\n"},
		"its exit code":              {[]string{"exit 17"}, 17, "", ""},
		"a signal":                   {[]string{"kill -9 $$"}, 137, "", ""},
		"what is not there":          {[]string{"/not/there"}, 127, "", "not found"},
		"no input":                   {[]string{"cat"}, 0, "", ""},
		"more than a message":        {[]string{"head -c 3000000 /dev/zero | tr '\\0' x"}, 0, strings.Repeat("x", 3000000), ""},
		"a daemon keeps the streams": {[]string{"sleep 600 & echo $! > pid; echo started"}, 0, "started\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr, err := n.execute(t.Context(), c.words...)
			must.NoError(t, err)
			must.Eq(t, c.code, code)
			must.True(t, c.wantStdout == stdout, must.Sprint(len(stdout)))
			must.StrContains(t, stderr, c.wantStderr)
		})
	}
	end(t, filepath.Join(n.dir, "pid"))
}

// end ends a process that a test has left.
func end(t *testing.T, file string) {
	t.Helper()
	must.NoError(t, unix.Kill(pidIn(t, file), unix.SIGKILL))
}

func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	eventually(t, "a pid in "+file, func() bool {
		data, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		return err == nil
	})
	return pid
}

func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestDaemon_ExecutesNothingWithoutALeader(t *testing.T) {
	n := start(t)
	_, _, _, err := n.execute(t.Context(), "true")
	must.ErrorIs(t, err, ErrRefused)
	must.ErrorContains(t, err, "the run has no leader yet")
}

func TestDaemon_WhatItStartedEndsWithItsAgent(t *testing.T) {
	n := start(t)
	n.lead()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, _, err := n.execute(ctx, "echo $$ > pid; sleep 600 & wait")
		done <- err
	}()
	pid := pidIn(t, filepath.Join(n.dir, "pid"))
	cancel()
	must.Error(t, <-done)
	eventually(t, "its end", func() bool { return !alive(pid) })
}

func TestDaemon_TheEndOfTheRunIsItsEnd(t *testing.T) {
	n := start(t)
	f := n.lead()
	done := make(chan error, 1)
	go func() {
		_, _, _, err := n.execute(t.Context(), "echo $$ > pid; sleep 600")
		done <- err
	}()
	pid := pidIn(t, filepath.Join(n.dir, "pid"))
	must.NoError(t, f.End(End{Code: 3, Reason: "because"}))
	<-n.over
	must.NoError(t, n.err)
	must.Eq(t, End{Code: 3, Reason: "because"}, n.told)
	must.Error(t, <-done)
	eventually(t, "the end of what it started", func() bool { return !alive(pid) })
	_, err := net.Dial("tcp", n.address)
	must.Error(t, err)
}

func TestDaemon_NoticesThatItsLeaderIsLost(t *testing.T) {
	n := start(t)
	must.NoError(t, n.lead().Close())
	<-n.over
	must.ErrorIs(t, n.err, ErrLeaderLost)
}

func TestDaemon_LeaderNoticesThatItIsLost(t *testing.T) {
	n := start(t)
	f := n.lead()
	n.end()
	must.Error(t, f.Wait(func() {}, func(string) {}))
}

func TestDaemon_TakesNoLeaderAfterAStop(t *testing.T) {
	n := start(t)
	n.Stop()
	<-n.over
	must.ErrorContains(t, n.err, "stopped before the node that leads the run came")
	must.False(t, n.HasLeader())
	must.Eq(t, Join{}, n.Leader())
}

func TestDaemon_TellsItsLeaderOfAStop(t *testing.T) {
	n := start(t)
	f := n.lead()
	asked := make(chan struct{}, 1)
	go func() { _ = f.Wait(func() { asked <- struct{}{} }, func(string) {}) }()
	n.Stop()
	n.Stop()
	select {
	case <-asked:
	case <-n.over:
		t.Fatal(n.err)
	}
	must.NoError(t, f.End(End{}))
	<-n.over
	must.NoError(t, n.err)
}

func TestDaemon_StoppedBeforeItsLeaderCame(t *testing.T) {
	n := start(t)
	n.Stop()
	<-n.over
	must.ErrorContains(t, n.err, "stopped before")
}

func TestDaemon_HasOneLeader(t *testing.T) {
	n := start(t)
	n.lead()
	_, err := Lead(t.Context(), n.address, n.secret, Join{Alloc: "a7", Node: "n7"})
	must.ErrorIs(t, err, ErrRefused)
	must.ErrorContains(t, err, "node n0 (allocation a0) leads the run already")
}

func TestDaemon_RefusesStrangersAndSaysSo(t *testing.T) {
	n := start(t)
	_, err := Lead(t.Context(), n.address, wire.NewSecret(), Join{})
	must.Error(t, err)
	n.log("does not know the run's secret")
	c, err := net.Dial("tcp", n.address)
	must.NoError(t, err)
	_, err = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	must.NoError(t, err)
	_, _ = io.Copy(io.Discard, c)
	must.NoError(t, c.Close())
	n.lead() // is not harmed
}

// A flood of connections that prove nothing costs no more than a few of them, and
// keeps nobody out for longer than a handshake may take.
func TestDaemon_AFloodIsBounded(t *testing.T) {
	n := start(t)
	var flood []net.Conn
	t.Cleanup(func() {
		for _, c := range flood {
			_ = c.Close()
		}
	})
	for range 2 * maxUnproved {
		c, err := net.Dial("tcp", n.address)
		must.NoError(t, err)
		flood = append(flood, c)
	}
	n.log("connections have proved nothing yet; refused one from")
	must.LessEq(t, maxUnproved, len(n.unproved))
	for _, c := range flood {
		must.NoError(t, c.Close())
	}
	eventually(t, "room for the leader", func() bool {
		f, err := Lead(t.Context(), n.address, n.secret, Join{Alloc: "a0", Node: "n0"})
		if err == nil {
			t.Cleanup(func() { _ = f.Close() })
		}
		return err == nil
	})
	eventually(t, "nothing left of the flood", func() bool { return len(n.unproved) == 0 })
}

// Whoever leads and dies in the middle of it is lost, and nothing stays behind.
func TestDaemon_LeaderDiesInTheHandshake(t *testing.T) {
	n := start(t)
	c, err := net.Dial("tcp", n.address)
	must.NoError(t, err)
	conn, err := wire.Dial(c, n.secret)
	must.NoError(t, err)
	must.NoError(t, conn.Close())
	eventually(t, "that it is forgotten", func() bool { return len(n.proved)+len(n.unproved) == 0 })
	n.lead()
}

func TestDaemon_AnswersWhatItDoesNotKnow(t *testing.T) {
	n := start(t)
	conn, err := dial(t.Context(), n.address, n.secret)
	must.NoError(t, err)
	defer conn.Close()
	must.NoError(t, conn.Send(99, nil))
	k, data, err := conn.Receive()
	must.NoError(t, err)
	must.ErrorContains(t, refusal(k, data), "run the same version of the driver on all nodes")
	for _, kind := range []wire.Kind{kindJoin, kindExec} {
		conn, err := dial(t.Context(), n.address, n.secret)
		must.NoError(t, err)
		must.NoError(t, conn.Send(kind, []byte("{")))
		k, data, err := conn.Receive()
		must.NoError(t, err)
		must.ErrorContains(t, refusal(k, data), "its message is not valid")
		must.NoError(t, conn.Close())
	}
}

func TestExecute_WhereNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	address := l.Addr().String()
	must.NoError(t, l.Close())
	code, err := Execute(t.Context(), address, wire.NewSecret(), []string{"true"}, nil, io.Discard, io.Discard)
	must.Eq(t, unreachable, code)
	must.True(t, errors.Is(err, unix.ECONNREFUSED))
}

// A launcher may not notice that the agent was killed which carries what it has started
// on a node.
func TestDaemon_TellsItsLeaderThatAnAgentIsGone(t *testing.T) {
	n := start(t)
	f := n.lead()
	failed := make(chan string, 1)
	go func() { _ = f.Wait(func() {}, func(what string) { failed <- what }) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan struct{})
	go func() { defer close(over); _, _, _, _ = n.execute(ctx, "echo > began; exec sleep 600") }()
	eventually(t, "what is executed", func() bool {
		_, err := os.Stat(filepath.Join(n.dir, "began"))
		return err == nil
	})
	cancel()
	<-over
	must.StrContains(t, <-failed, "the launch agent")
}

// A node whose daemon is stopped accepts a connection, and says nothing. Who leads the
// run can be ended meanwhile.
func TestLead_EndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	must.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = Lead(ctx, l.Addr().String(), wire.NewSecret(), Join{})
	must.Error(t, err)
	must.Less(t, wire.HandshakeTimeout, time.Since(began))
}
