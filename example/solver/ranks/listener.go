// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// caller is a rank that has proven who it is.
type caller struct {
	conn      net.Conn
	addresses []string
}

// listener admits the ranks above its own.
type listener struct {
	socket net.Listener
	secret secret
	rank   int

	handlers sync.WaitGroup
	changed  chan struct{} // filled when there is something new for wait

	mu      sync.Mutex // guards what follows
	callers []*caller  // by rank
	open    map[net.Conn]bool
	refused int
	last    error // why the last one was refused
	stopped bool
}

// mostCallers bounds the connections that have not proven anything yet.
const mostCallers = 256

// serve begins to admit. It owns the socket; stop ends it.
func serve(socket net.Listener, s secret, rank int) *listener {
	l := &listener{
		socket: socket, secret: s, rank: rank, changed: make(chan struct{}, 1),
		callers: make([]*caller, s.size), open: map[net.Conn]bool{},
	}
	l.handlers.Go(func() {
		for {
			conn, err := socket.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				time.Sleep(10 * time.Millisecond) // no descriptors are left: later, perhaps
			case !l.begin(conn):
				_ = conn.Close()
			}
		}
	})
	return l
}

// begin handles a connection in a goroutine of its own: one that says nothing
// holds up no other.
func (l *listener) begin(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || len(l.open) >= mostCallers {
		return false
	}
	l.open[conn] = true
	l.handlers.Go(func() {
		from, addresses, err := l.secret.answer(conn, l.rank)
		l.end(conn, from, addresses, err)
	})
	return true
}

// end admits a rank or refuses a stranger. A rank that calls again has lost its
// first connection before it heard that it was admitted: the second counts.
func (l *listener) end(conn net.Conn, from int, addresses []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	if err == nil && !l.stopped {
		if _, err = conn.Write([]byte{admitted}); err == nil {
			err = conn.SetDeadline(time.Time{})
		}
	}
	if err != nil || l.stopped {
		_ = conn.Close()
		l.refused, l.last = l.refused+1, err
		return
	}
	if old := l.callers[from]; old != nil {
		_ = old.conn.Close()
	}
	l.callers[from] = &caller{conn, addresses}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// wait gives the callers by rank when all ranks above this one have called.
func (l *listener) wait(deadline time.Time) ([]*caller, error) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		missing := l.missing()
		if len(missing) == 0 {
			l.stop()
			return l.callers, nil
		}
		select {
		case <-l.changed:
		case <-timer.C:
			return nil, l.late(missing)
		}
	}
}

func (l *listener) missing() (above []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := l.rank + 1; n < l.secret.size; n++ {
		if l.callers[n] == nil {
			above = append(above, n)
		}
	}
	return above
}

func (l *listener) late(missing []int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := fmt.Errorf("ranks %v have not called: look whether they have started, see this run folder, and can reach this host", missing)
	if l.refused > 0 {
		err = fmt.Errorf("%w; %d others were refused, the last because: %w", err, l.refused, l.last)
	}
	return err
}

// stop admits nobody any more and waits for what serve began.
func (l *listener) stop() {
	l.mu.Lock()
	l.stopped = true
	for conn := range l.open {
		_ = conn.Close()
	}
	l.mu.Unlock()
	_ = l.socket.Close()
	l.handlers.Wait()
}

// discard closes what was admitted, when the ranks do not come together.
func (l *listener) discard() {
	l.stop()
	for _, c := range l.callers {
		if c != nil {
			_ = c.conn.Close()
		}
	}
}
