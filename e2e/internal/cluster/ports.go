// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
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

// freePorts asks the kernel for ports that nobody has. Somebody else may take one
// before the agent does; the agent then says so in its log and Start fails.
func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.HTTP, &p.RPC, &p.Serf} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("free port: %w", err)
		}
		// Closed only when all three are known, so that they differ.
		defer func() { _ = l.Close() }()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
