// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command solver is the stand-in solver: it takes LS-DYNA's place in tests and
// demonstrations, because LS-DYNA is proprietary. It is not LS-DYNA and must
// not be used for engineering.
//
// It speaks LS-DYNA's interface, with the formats of SMP and MPP double
// precision R14: the command line (i= ncpu= memory= memory2= jobid= r= endtime=
// ncycle= d= p=), keyword decks, stdout, messag or mes0000.., d3hsp, glstat,
// d3plot, d3dumpNN, runrsf, status.out, and the sense switches in d3kil. Behind
// that is a real, simplified explicit solution (package solution) whose results
// are the same to the last bit for every number of threads and ranks, and
// across restarts.
//
// It reads its command line, the deck and d3kil, and writes in its working
// folder only; ranks of one mpirun talk over abstract unix sockets, or over TCP
// where they are on several hosts (package ranks). It needs no C library, so it
// also runs in an initramfs.
//
// Its first act is to print its affinity, on stdout and in standin-affinity.NNNN
// (NNNN is the rank), with a line for each worker thread and another whenever
// the mask changes:
//
//	STANDIN-AFFINITY rank=0 pid=71 tid=71 thread=main cpus=4-5
//
// # Options of its own
//
// STANDIN_PACE is a Go duration that every cycle takes at least. STANDIN_POLL
// is the number of cycles between looks for d3kil (100; fewer with a slow pace).
// STANDIN_PLAY names a play, which it acts instead of computing (type play).
// STANDIN_FAULT holds failures, separated by commas or blanks; a deck asks for
// the same with a comment card `$ standin: hang=50`. Option -help lists them.
// On success, standin-results holds a checksum of the final state.
//
// Its name decides what it says it is: ls-dyna_mpp_s_… is an MPP single
// precision executable (the numbers are computed in double precision all the
// same; d3plot is then written in single).
package main

import (
	"fmt"
	"os"
)

func main() {
	for _, a := range os.Args[1:] {
		if a == "-help" || a == "--help" || a == "-h" {
			fmt.Print(help)
			return
		}
	}
	os.Exit(execute(os.Args, os.Stdout, os.Stderr))
}
