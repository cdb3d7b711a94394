// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command solver is what the benchmarks run in the solver's place: it says when
// its first instruction of Go ran, and then does nothing until it is ended. It is
// small and quick, so that what is measured is the driver's.
package main

import (
	"os"
	"strconv"
	"syscall"
)

// born is set before any other package variable that needs a function call: the
// packages this one imports do next to nothing when they are initialised.
var born = now()

// now is the time since 1970 in nanoseconds, of the clock that Nomad's log has.
func now() int64 {
	var tv syscall.Timeval
	if err := syscall.Gettimeofday(&tv); err != nil {
		return 0
	}
	return tv.Nano()
}

// The stamp goes to $BENCH_STAMPS/<allocation id>, one line for every start:
// nanoseconds since 1970 and the pid.
func main() {
	path := os.Getenv("BENCH_STAMPS") + "/" + os.Getenv("NOMAD_ALLOC_ID")
	line := strconv.FormatInt(born, 10) + " " + strconv.Itoa(os.Getpid()) + "\n"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = f.WriteString(line)
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	// One thread, no signal handling: every signal ends it at once.
	for {
		_, _ = syscall.Select(0, nil, nil, nil, nil)
	}
}
