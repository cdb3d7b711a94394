// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// Ranks connects the ranks of one mpirun on one machine. Each pair has a
// stream socket with an abstract address (no file to leave behind). When a rank
// dies, its sockets end, and every other rank fails at its next exchange.
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

// connectTimeout is how long a rank waits for the others to start.
const connectTimeout = 60 * time.Second

// maxFrame bounds what one rank accepts from another.
const maxFrame = 1 << 32

// environments name the variables in which launchers tell a process its rank
// and the number of ranks.
var environments = [][2]string{
	{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, // Open MPI
	{"PMI_RANK", "PMI_SIZE"},                         // MPICH, Intel MPI
	{"MPI_RANKID", "MPI_NRANKS"},                     // Platform MPI
}

// rankOf reads rank and size from the environment: 0 of 1 without a launcher.
func rankOf(getenv func(string) string) (rank, size int) {
	for _, names := range environments {
		r, err1 := strconv.Atoi(getenv(names[0]))
		s, err2 := strconv.Atoi(getenv(names[1]))
		if err1 == nil && err2 == nil && r >= 0 && r < s {
			return r, s
		}
	}
	return 0, 1
}

// jobKey is the same for all ranks of a job and no other: the launcher's name
// for the job and its process, and the run folder.
func jobKey() string {
	h := fnv.New64a()
	dir, _ := os.Getwd()
	fmt.Fprint(h, os.Getuid(), os.Getppid(), os.Getenv("PMIX_NAMESPACE"), os.Getenv("PMI_ID"), dir)
	return fmt.Sprintf("%016x", h.Sum64())
}

// connectRanks meets the other ranks.
func connectRanks(rank, size int) (*Ranks, error) {
	r := &Ranks{Rank: rank, Size: size, peers: make([]*peer, size)}
	if size == 1 {
		return r, nil
	}
	address := func(n int) string { return fmt.Sprintf("@standin-%s-%d", jobKey(), n) }
	l, err := net.Listen("unix", address(rank))
	if err != nil {
		return nil, fmt.Errorf("listen for other ranks: %w", err)
	}
	defer l.Close()
	deadline := time.Now().Add(connectTimeout)
	for n := 0; n < rank; n++ {
		conn, err := dialUntil(address(n), deadline)
		if err != nil {
			return nil, fmt.Errorf("meet rank %d: %w", n, err)
		}
		if err := binary.Write(conn, binary.LittleEndian, int32(rank)); err != nil {
			return nil, fmt.Errorf("meet rank %d: %w", n, err)
		}
		r.peers[n] = newPeer(conn)
	}
	_ = l.(*net.UnixListener).SetDeadline(deadline)
	for n := rank + 1; n < size; n++ {
		conn, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("wait for other ranks: %w", err)
		}
		var who int32
		if err := binary.Read(conn, binary.LittleEndian, &who); err != nil || int(who) <= rank || int(who) >= size || r.peers[who] != nil {
			return nil, fmt.Errorf("wait for other ranks: a stranger called")
		}
		r.peers[who] = newPeer(conn)
	}
	return r, nil
}

func dialUntil(address string, deadline time.Time) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", address)
		if err == nil || time.Now().After(deadline) {
			return conn, err
		}
		time.Sleep(5 * time.Millisecond) // the rank has not started yet; nothing tells when
	}
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

// trade sends a message to each peer for which message gives one and gives
// what each peer sent to take; quiet peers are those that expect says no to.
func (r *Ranks) trade(message func(n int) []byte, expect func(n int) bool, take func(n int, b []byte) error) error {
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

// broadcast gives rank 0's text to all.
func (r *Ranks) broadcast(text string) (string, error) {
	if r.Size == 1 {
		return text, nil
	}
	err := r.trade(func(int) []byte {
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

// agree tells whether all ranks are ready to go on.
func (r *Ranks) agree(ready bool) (bool, error) {
	answer := []byte{0}
	if ready {
		answer[0] = 1
	}
	err := r.trade(func(int) []byte { return answer }, func(int) bool { return true }, func(_ int, b []byte) error {
		ready = ready && len(b) == 1 && b[0] == 1
		return nil
	})
	return ready, err
}

// exchange is the solution's Exchange over these ranks.
func (r *Ranks) exchange(p *solution.Partition) solution.Exchange {
	if r.Size == 1 {
		return nil
	}
	return func(step float64, bad int, force []float64) (float64, int, error) {
		mine, first := step, bad
		err := r.trade(func(n int) []byte {
			b := make([]byte, 0, 16+24*len(p.Send[n]))
			b = appendFloats(b, mine)
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(first)))
			for _, slot := range p.Send[n] {
				b = appendFloats(b, force[3*slot:3*slot+3]...)
			}
			return b
		}, func(int) bool { return true }, func(n int, b []byte) error {
			if len(b) != 16+24*len(p.Receive[n]) {
				return fmt.Errorf("%d bytes, but %d slots are shared", len(b), len(p.Receive[n]))
			}
			step = min(step, floatAt(b, 0))
			if other := int(int64(binary.LittleEndian.Uint64(b[8:]))); other >= 0 && (bad < 0 || other < bad) {
				bad = other
			}
			for i, slot := range p.Receive[n] {
				for k := 0; k < 3; k++ {
					force[3*int(slot)+k] = floatAt(b, 2+3*i+k)
				}
			}
			return nil
		})
		return step, bad, err
	}
}

// collect brings the whole state together on rank 0.
func (r *Ranks) collect(p *solution.Partition, others []solution.Partition, s *solution.State) error {
	if r.Size == 1 {
		return nil
	}
	return r.trade(func(n int) []byte {
		if r.Rank == 0 || n > 0 {
			return nil
		}
		b := []byte{}
		walkState(p, s, func(v []float64) { b = appendFloats(b, v...) })
		return b
	}, func(n int) bool { return r.Rank == 0 }, func(n int, b []byte) error {
		at, err := 0, error(nil)
		walkState(&others[n], s, func(v []float64) {
			for i := range v {
				if 8*at+8 > len(b) {
					err = fmt.Errorf("its state is cut short")
					return
				}
				v[i] = floatAt(b, at)
				at++
			}
		})
		return err
	})
}

// walkState visits what a rank owns of a state, in a fixed order.
func walkState(p *solution.Partition, s *solution.State, visit func([]float64)) {
	for _, n := range p.Owned {
		visit(s.X[3*n : 3*n+3])
		visit(s.V[3*n : 3*n+3])
		visit(s.A[3*n : 3*n+3])
		visit(s.Stopped[n : n+1])
	}
	for _, e := range p.Elements {
		visit(s.Stress[6*e : 6*e+6])
		visit(s.Strain[e : e+1])
		visit(s.Internal[e : e+1])
		visit(s.Hourglass[e : e+1])
	}
}

// leave waits until rank 0 is gone: a launcher ends the others as soon as one
// rank fails, and rank 0 has the last words to write.
func (r *Ranks) leave() {
	if r.Rank == 0 || r.peers[0] == nil {
		return
	}
	_ = r.peers[0].conn.SetReadDeadline(time.Now().Add(connectTimeout))
	_, _ = io.Copy(io.Discard, r.peers[0].in)
}

func appendFloats(b []byte, v ...float64) []byte {
	for _, f := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

func floatAt(b []byte, i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
}
