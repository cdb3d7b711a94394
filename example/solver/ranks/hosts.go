// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dialPatience bounds one attempt: a firewall may answer nothing.
	dialPatience = 2 * time.Second
	// lookEvery is the time between looks at the run folder. Nothing tells when
	// another host has written a file.
	lookEvery = 50 * time.Millisecond
	// lostAfter is when a host that answers nothing is lost. A rank that is stopped
	// for a while is not: its kernel answers, unless its buffer is full for so long.
	lostAfter = 2 * time.Minute
	// maxTable bounds rank 0's message with everybody's addresses.
	maxTable = 1 << 26
)

// connectHosts meets ranks on other hosts.
func connectHosts(p Place, m meeting, patience time.Duration) (*Ranks, error) {
	deadline := time.Now().Add(patience)
	socket, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, fmt.Errorf("listen for other ranks: %w", err)
	}
	mine := offered(networks(), socket.Addr().(*net.TCPAddr).Port)
	r := newRanks(p)
	if p.Rank == 0 {
		err = r.receiveAll(m, socket, mine, deadline)
	} else {
		err = r.findAll(m, socket, mine, deadline)
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("rank %d of %d could not meet the others within %v: %w", p.Rank, p.Size, patience, err)
	}
	return r, nil
}

// receiveAll is rank 0's part.
func (r *Ranks) receiveAll(m meeting, socket net.Listener, mine []string, deadline time.Time) error {
	token := newToken()
	l := serve(socket, m.secret(token), 0)
	if err := m.write(token, mine); err != nil {
		l.discard()
		return err
	}
	defer m.remove()
	callers, err := l.wait(deadline)
	if err != nil {
		l.discard()
		return err
	}
	table := make([][]string, r.Size)
	for n, c := range callers {
		if c != nil {
			table[n] = c.addresses
			r.admit(n, c.conn)
		}
	}
	text, err := json.Marshal(table)
	if err != nil {
		return err
	}
	message := append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	for n, p := range r.peers {
		if p == nil {
			continue
		}
		_ = p.conn.SetDeadline(time.Now().Add(proofPatience))
		if _, err := p.conn.Write(message); err != nil {
			return fmt.Errorf("lost rank %d: %w", n, err)
		}
		_ = p.conn.SetDeadline(time.Time{})
	}
	return nil
}

// findAll is the other ranks' part.
func (r *Ranks) findAll(m meeting, socket net.Listener, mine []string, deadline time.Time) error {
	conn, s, err := findFirst(m, r.Rank, mine, deadline)
	if err != nil {
		_ = socket.Close()
		return err
	}
	l := serve(socket, s, r.Rank)
	r.admit(0, conn)
	if err := r.findOthers(l, s, deadline); err != nil {
		l.discard()
		return err
	}
	return nil
}

// findOthers connects to the ranks between rank 0 and this one and waits for
// those above.
func (r *Ranks) findOthers(l *listener, s secret, deadline time.Time) error {
	table, err := readTable(r.peers[0].conn, s.size, deadline)
	if err != nil {
		return fmt.Errorf("rank 0 did not say where all ranks are; one of them may not have started: %w", err)
	}
	for n := 1; n < r.Rank; n++ {
		conn, err := reachUntil(s, r.Rank, n, table[n], deadline)
		if err != nil {
			return fmt.Errorf("reach rank %d at %v: %w", n, table[n], err)
		}
		r.admit(n, conn)
	}
	callers, err := l.wait(deadline)
	if err != nil {
		return err
	}
	for n, c := range callers {
		if c != nil {
			r.admit(n, c.conn)
		}
	}
	return nil
}

func (r *Ranks) admit(n int, conn net.Conn) {
	endWithHost(conn)
	r.peers[n] = newPeer(conn)
}

// findFirst looks for rank 0 until it has proven itself. What is in the folder
// may be of yesterday: then it is read again.
func findFirst(m meeting, me int, mine []string, deadline time.Time) (net.Conn, secret, error) {
	var last error
	for {
		s, addresses, err := m.read()
		if err == nil {
			var conn net.Conn
			if conn, err = reach(s, me, 0, addresses, mine, deadline); err == nil {
				return conn, s, nil
			}
			err = fmt.Errorf("%s names %v as the addresses of rank 0: %w", m.path, addresses, err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: rank 0 writes it when it has started, into a run folder that all hosts must share", err)
		}
		// The last look is cut off by the deadline, and rank 0 removes the file when it
		// gives up: what was wrong before tells more.
		if last == nil || !errors.Is(err, fs.ErrNotExist) && time.Now().Before(deadline) {
			last = err
		}
		if time.Now().Add(lookEvery).After(deadline) {
			return nil, secret{}, last
		}
		time.Sleep(lookEvery)
	}
}

// reachUntil tries until the deadline: a busy host may be late with its proof.
func reachUntil(s secret, me, other int, addresses []string, deadline time.Time) (net.Conn, error) {
	var last error
	for {
		conn, err := reach(s, me, other, addresses, nil, deadline)
		if err == nil {
			return conn, nil
		}
		if last == nil || time.Now().Before(deadline) {
			last = err
		}
		if time.Now().Add(lookEvery).After(deadline) {
			return nil, last
		}
		time.Sleep(lookEvery)
	}
}

// reach tries each address of another rank in turn.
func reach(s secret, me, other int, addresses, mine []string, deadline time.Time) (net.Conn, error) {
	var errs []error
	for _, address := range inOrder(networks(), addresses) {
		d := net.Dialer{Timeout: dialPatience, Deadline: deadline}
		conn, err := d.Dial("tcp", address)
		if err == nil {
			if err = s.call(conn, me, other, mine); err == nil {
				return conn, nil
			}
			err = fmt.Errorf("%s: %w", address, err)
			_ = conn.Close()
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("it has no address")
	}
	return nil, errors.Join(errs...)
}

// readTable reads rank 0's message with every rank's addresses.
func readTable(conn net.Conn, size int, deadline time.Time) ([][]string, error) {
	_ = conn.SetDeadline(deadline)
	length := make([]byte, 4)
	if _, err := io.ReadFull(conn, length); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxTable {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(conn, text); err != nil {
		return nil, err
	}
	var table [][]string
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, err
	}
	if len(table) != size {
		return nil, fmt.Errorf("addresses of %d ranks, not %d", len(table), size)
	}
	return table, conn.SetDeadline(time.Time{})
}

// endWithHost makes a connection fail when the other host is gone. Without that,
// data on its way waits for a quarter of an hour, and a rank that only reads
// waits for ever.
func endWithHost(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: lostAfter / 4, Interval: lostAfter / 8, Count: 6})
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(lostAfter.Milliseconds()))
	})
}
