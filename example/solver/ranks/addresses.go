// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// maxOffered bounds the addresses that a rank offers and tries.
const maxOffered = 64

// networks are this host's addresses with the networks they are in.
func networks() []netip.Prefix {
	var found []netip.Prefix
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			found = append(found, p)
		}
	}
	return found
}

// offered are the addresses under which others may reach a port of this host:
// loopback last, and none that mean something on one link only.
func offered(mine []netip.Prefix, port int) []string {
	var usual, loopback []string
	for _, p := range mine {
		a := p.Addr().Unmap()
		text := net.JoinHostPort(a.String(), strconv.Itoa(port))
		switch {
		case a.IsLoopback():
			loopback = append(loopback, text)
		case a.IsGlobalUnicast():
			usual = append(usual, text)
		}
	}
	usual = usual[:min(len(usual), maxOffered-min(len(loopback), 2))]
	return append(usual, loopback[:min(len(loopback), 2)]...)
}

// inOrder puts addresses in networks of this host first: others may lead into
// nothing, and cost the time that a connection may take. Loopback comes last:
// it leads to the other rank only where both are on one host, and there another
// address does, too, if there is one.
func inOrder(mine []netip.Prefix, addresses []string) []string {
	class := func(address string) int {
		ap, err := netip.ParseAddrPort(address)
		switch {
		case err != nil:
			return 3
		case ap.Addr().IsLoopback():
			return 2
		case slices.ContainsFunc(mine, func(p netip.Prefix) bool { return p.Contains(ap.Addr()) }):
			return 0
		}
		return 1
	}
	sorted := slices.Clone(addresses)
	slices.SortStableFunc(sorted, func(a, b string) int { return class(a) - class(b) })
	return sorted
}
