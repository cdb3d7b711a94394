// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// ports are the agent's own, kept over its restarts: a server that came back on
// another port would not find itself among its peers.
type ports struct{ HTTP, RPC, Serf int }

// portsIn returns the ports that the file holds, or puts free ones there.
func portsIn(path string) (ports, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		var p ports
		if err := json.Unmarshal(raw, &p); err != nil {
			return ports{}, fmt.Errorf("ports in %s: %w", path, err)
		}
		return p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return ports{}, fmt.Errorf("ports: %w", err)
	}
	p, err := freePorts()
	if err != nil {
		return ports{}, err
	}
	if raw, err = json.Marshal(p); err != nil {
		return ports{}, fmt.Errorf("ports: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return ports{}, fmt.Errorf("ports: %w", err)
	}
	return p, nil
}

// The range that ports are taken from: below those that Linux gives to whoever does not
// ask for one, so that no connection takes a port between its choice and its use.
const firstPort, lastPort = 12000, 32000

// chosen are the ports that agents of this process have.
var chosen struct {
	mu   sync.Mutex
	next int
}

// freePorts finds ports that nobody has. Other test processes begin elsewhere in the range.
func freePorts() (ports, error) {
	chosen.mu.Lock()
	defer chosen.mu.Unlock()
	if chosen.next == 0 {
		chosen.next = firstPort + rand.IntN(lastPort-firstPort)
	}
	var p ports
	for _, port := range []*int{&p.HTTP, &p.RPC, &p.Serf} {
		for tried := 0; ; tried++ {
			if tried == lastPort-firstPort {
				return ports{}, fmt.Errorf("no free port from %d to %d", firstPort, lastPort)
			}
			*port = chosen.next
			if chosen.next++; chosen.next >= lastPort {
				chosen.next = firstPort
			}
			if isFree(*port) {
				break
			}
		}
	}
	return p, nil
}

// isFree reports whether nobody listens at a port, by TCP or UDP, which Serf uses, too.
func isFree(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	udp, err := net.ListenPacket("udp", address)
	if err == nil {
		err = udp.Close()
	}
	return errors.Join(err, tcp.Close()) == nil
}
