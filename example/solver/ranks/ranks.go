// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// Ranks are the ranks of one launch, seen by one of them.
type Ranks struct {
	Rank, Size int
	peers      []*peer
}

type peer struct {
	conn net.Conn
	in   *bufio.Reader
	out  chan []byte
	sent chan error
}

// maxFrame bounds what one rank accepts from another.
const maxFrame = 1 << 32

func newRanks(p Place) *Ranks {
	return &Ranks{Rank: p.Rank, Size: p.Size, peers: make([]*peer, p.Size)}
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, in: bufio.NewReaderSize(conn, 1<<16), out: make(chan []byte, 1), sent: make(chan error, 1)}
	go func() { // sends while the rank receives: two full sockets cannot block each other
		for b := range p.out {
			_, err := p.conn.Write(b)
			p.sent <- err
		}
	}()
	return p
}

func (p *peer) receive() ([]byte, error) {
	var size uint64
	if err := binary.Read(p.in, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	if size > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(p.in, b)
	return b, err
}

// Trade sends a message to each peer for which message gives one and gives
// what each peer sent to take; quiet peers are those that expect says no to.
func (r *Ranks) Trade(message func(n int) []byte, expect func(n int) bool, take func(n int, b []byte) error) error {
	sending := make([]bool, r.Size)
	for n, p := range r.peers {
		if p == nil {
			continue
		}
		if b := message(n); b != nil {
			sending[n] = true
			p.out <- append(binary.LittleEndian.AppendUint64(make([]byte, 0, len(b)+8), uint64(len(b))), b...)
		}
	}
	for n, p := range r.peers {
		if p == nil || !expect(n) {
			continue
		}
		b, err := p.receive()
		if err == nil {
			err = take(n, b)
		}
		if err != nil {
			return fmt.Errorf("lost rank %d: %w", n, err)
		}
	}
	for n, p := range r.peers {
		if sending[n] {
			if err := <-p.sent; err != nil {
				return fmt.Errorf("lost rank %d: %w", n, err)
			}
		}
	}
	return nil
}

// Broadcast gives rank 0's text to all.
func (r *Ranks) Broadcast(text string) (string, error) {
	if r.Size == 1 {
		return text, nil
	}
	err := r.Trade(func(int) []byte {
		if r.Rank == 0 {
			return append([]byte{0}, text...)
		}
		return nil
	}, func(n int) bool { return n == 0 }, func(_ int, b []byte) error {
		if len(b) == 0 {
			return fmt.Errorf("an empty message")
		}
		text = string(b[1:])
		return nil
	})
	return text, err
}

// Agree reports whether all ranks are ready to go on.
func (r *Ranks) Agree(ready bool) (bool, error) {
	answer := []byte{0}
	if ready {
		answer[0] = 1
	}
	err := r.Trade(func(int) []byte { return answer }, func(int) bool { return true }, func(_ int, b []byte) error {
		ready = ready && len(b) == 1 && b[0] == 1
		return nil
	})
	return ready, err
}

// Leave waits until rank 0 is gone: a launcher ends the others as soon as one
// rank fails, and rank 0 has the last words to write.
func (r *Ranks) Leave() {
	if r.Rank == 0 || r.peers[0] == nil {
		return
	}
	_ = r.peers[0].conn.SetReadDeadline(time.Now().Add(localPatience))
	_, _ = io.Copy(io.Discard, r.peers[0].in)
}

// Close ends the connections. A process that ends need not call it.
func (r *Ranks) Close() {
	for _, p := range r.peers {
		if p != nil {
			_ = p.conn.Close()
			close(p.out)
		}
	}
	r.peers = nil
}
