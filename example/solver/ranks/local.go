// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"time"
)

// localKey is the same for all ranks of a launch on this host and no other: the
// launcher's name for the launch and its process, and the run folder.
func localKey() string {
	h := fnv.New64a()
	dir, _ := os.Getwd()
	fmt.Fprint(h, os.Getuid(), os.Getppid(), os.Getenv("PMIX_NAMESPACE"), os.Getenv("PMI_ID"), dir)
	return fmt.Sprintf("%016x", h.Sum64())
}

// connectLocal meets the other ranks on this host. An abstract address leaves
// no file behind.
func connectLocal(p Place, key string, patience time.Duration) (*Ranks, error) {
	r := newRanks(p)
	address := func(n int) string { return fmt.Sprintf("@standin-%s-%d", key, n) }
	l, err := net.Listen("unix", address(p.Rank))
	if err != nil {
		return nil, fmt.Errorf("listen for other ranks: %w", err)
	}
	defer l.Close()
	deadline := time.Now().Add(patience)
	for n := 0; n < p.Rank; n++ {
		conn, err := dialUntil(address(n), deadline)
		if err != nil {
			return nil, fmt.Errorf("meet rank %d: %w", n, err)
		}
		if err := binary.Write(conn, binary.LittleEndian, int32(p.Rank)); err != nil {
			return nil, fmt.Errorf("meet rank %d: %w", n, err)
		}
		r.peers[n] = newPeer(conn)
	}
	_ = l.(*net.UnixListener).SetDeadline(deadline)
	for n := p.Rank + 1; n < p.Size; n++ {
		conn, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("wait for other ranks: %w", err)
		}
		var who int32
		if err := binary.Read(conn, binary.LittleEndian, &who); err != nil || int(who) <= p.Rank || int(who) >= p.Size || r.peers[who] != nil {
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
