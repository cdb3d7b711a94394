// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
)

// A Bridge connects the networks of agents in the namespace of the calling process, which
// has the last address of the bridge's network: there the server listens.
type Bridge struct {
	Name    string
	Network netip.Prefix // a /24
}

// Address is the address of the calling process's namespace.
func (b Bridge) Address() string { return b.host(254).String() }

func (b Bridge) host(i int) netip.Addr {
	a := b.Network.Masked().Addr().As4()
	a[3] = byte(i)
	return netip.AddrFrom4(a)
}

// Make makes the bridge.
func (b Bridge) Make() error {
	for _, words := range [][]string{
		{"link", "add", b.Name, "type", "bridge"}, {"addr", "add", b.Address() + "/24", "dev", b.Name}, {"link", "set", b.Name, "up"},
	} {
		if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			return fmt.Errorf("bridge %s: %q: %w: %s", b.Name, words, err, out)
		}
	}
	return nil
}

// Remove is the end of Make.
func (b Bridge) Remove() error {
	if out, err := exec.Command("ip", "link", "del", b.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("bridge %s: %w: %s", b.Name, err, out)
	}
	return nil
}

// Machine is the network of the agent number i, from 1 on, whose name is crashI.
func (b Bridge) Machine(i int) *Network {
	return &Network{Bridge: b.Name, Host: fmt.Sprintf("crash%02d", i), Address: netip.PrefixFrom(b.host(i), 24)}
}

// A Network is what an agent of its own machine would have: a network namespace with one
// interface, eth0, and a host name. The interface is one end of a veth pair, whose other
// end is on a bridge in the namespace of the calling process. They end with the agent.
type Network struct {
	Bridge  string       // there already
	Address netip.Prefix // of eth0
	Host    string       // host name, and the node's name in Nomad
}

// address is where the agent listens, and what it advertises.
func (c Config) address() string {
	if c.Network != nil {
		return c.Network.Address.Addr().String()
	}
	if c.Address != "" {
		return c.Address
	}
	return "127.0.0.1"
}

func (c Config) networkInterface() string {
	if c.Network != nil {
		return "eth0"
	}
	return "lo"
}

// namespaces are the flags of unshare and nsenter for a network of its own.
func (n *Network) namespaces() []string {
	if n == nil {
		return nil
	}
	return []string{"--net", "--uts"}
}

// outside is the name of the end of the pair that is on the bridge.
func (n *Network) outside() string {
	address := n.Address.Addr().As4()
	return fmt.Sprintf("lsd-veth%d", address[3])
}

// connect connects the namespace of a process.
func (n *Network) connect(pid int, nsenter string) error {
	target := strconv.Itoa(pid)
	inside := func(words ...string) []string {
		return append([]string{nsenter, "--target", target, "--net", "--uts", "--"}, words...)
	}
	for _, command := range [][]string{
		{"ip", "link", "add", n.outside(), "type", "veth", "peer", "name", "eth0", "netns", target},
		{"ip", "link", "set", n.outside(), "master", n.Bridge, "up"},
		inside("ip", "link", "set", "lo", "up"),
		inside("ip", "addr", "add", n.Address.String(), "dev", "eth0"),
		inside("ip", "link", "set", "eth0", "up"),
		inside("hostname", n.Host),
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("network of %s: %q: %w: %s", n.Host, command, err, out)
		}
	}
	return nil
}

// disconnect removes the pair: a namespace that has just ended takes its time for that.
func (n *Network) disconnect() error {
	if out, err := exec.Command("ip", "link", "del", n.outside()).CombinedOutput(); err != nil {
		return fmt.Errorf("network of %s: %w: %s", n.Host, err, out)
	}
	return nil
}

// Cut takes the agent and its tasks off the network, as a pulled cable would; Mend puts
// them back.
func (n *Network) Cut() error { return n.set("down") }

// Mend is the end of Cut.
func (n *Network) Mend() error { return n.set("up") }

func (n *Network) set(state string) error {
	if out, err := exec.Command("ip", "link", "set", n.outside(), state).CombinedOutput(); err != nil {
		return fmt.Errorf("network of %s: %w: %s", n.Host, err, out)
	}
	return nil
}
