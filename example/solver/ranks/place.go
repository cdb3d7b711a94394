// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package ranks connects the ranks of one launch of the stand-in solver. It
// needs no MPI library: a rank reads its place from the launcher's environment.
//
// Each pair of ranks has one stream socket. Where all ranks are on one host,
// these are unix sockets with abstract addresses. Such an address ends at the
// network namespace, so ranks on several hosts use TCP. They find each other by
// a file in the run folder, which all hosts share:
//
//   - Rank 0 listens and writes its addresses and a fresh random token into the
//     file. Only the user may read it. Rank 0 removes it when all ranks have met.
//   - Another rank opens the file anew for each look, connects, and proves that it
//     knows the token; rank 0 proves the same. The token itself is never sent.
//   - Rank 0 gives every rank the addresses of all. Each rank connects to those
//     below it, with the same proof.
//
// The file's name and the proof contain what names the launch, so what another
// launch left in the folder is not taken.
//
// When a rank dies, its sockets end, and every other rank fails at its next
// exchange.
package ranks

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Place is a rank's place among the ranks of its launch.
type Place struct {
	Rank, Size int
	LocalSize  int // ranks on this host; Size where the launcher does not say

	// name is what all ranks of this launch, and no other, have in their environment.
	// Hydra's ranks have nothing of the kind there, but can ask it by a descriptor.
	name string
	pmi  string
}

// Bounds of the time in which ranks meet.
const (
	localPatience = time.Minute     // on one host
	hostsPatience = 2 * time.Minute // where other hosts have to start something first
)

// launchers name the variables in which launchers tell a process its rank, the
// number of ranks, and the number of ranks on its host.
var launchers = [][3]string{
	{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"}, // Open MPI
	{"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"},                                    // MPICH, Intel MPI
	{"MPI_RANKID", "MPI_NRANKS", "MPI_LOCALNRANKS"},                                // Platform MPI
}

// names are variables of Open MPI with the same value in all ranks of a launch.
// The last holds 128 random bits. OMPI_MCA_orte_hnp_uri is not among them: it
// is where mpirun listens, and a daemon may write it in another way.
var names = []string{"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_precondition_transports"}

// Alone is the place of a process that no launcher started.
func Alone() Place { return Place{Size: 1, LocalSize: 1} }

// Find reads the place from the environment.
func Find(getenv func(string) string) Place {
	number := func(name string) int {
		n, err := strconv.Atoi(getenv(name))
		if err != nil {
			return -1
		}
		return n
	}
	for i, l := range launchers {
		p := Place{Rank: number(l[0]), Size: number(l[1]), LocalSize: number(l[2])}
		if p.Rank < 0 || p.Rank >= p.Size {
			continue
		}
		if p.LocalSize < 1 {
			p.LocalSize = p.Size
		}
		var values []string
		for _, name := range names {
			if v := getenv(name); v != "" {
				values = append(values, name+"="+v)
			}
		}
		p.name = strings.Join(values, " ")
		if i > 0 {
			p.pmi = getenv("PMI_FD")
		}
		return p
	}
	return Alone()
}

// Connect meets the other ranks. The working folder is the run folder.
func Connect(p Place) (*Ranks, error) {
	switch {
	case p.Size <= 1:
		return newRanks(p), nil
	case p.LocalSize >= p.Size:
		return connectLocal(p, localKey(), localPatience)
	}
	name, err := p.launch()
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return connectHosts(p, newMeeting(dir, name, p.Size), hostsPatience)
}
