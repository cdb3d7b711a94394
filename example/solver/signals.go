// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// traceback is what the Fortran runtime prints when SIGTERM ends the program.
// The addresses mean nothing.
const traceback = `forrtl: error (78): process killed (SIGTERM)
Image              PC                Routine            Line        Source             
standin            000000000E0539A4  Unknown               Unknown  Unknown
libc.so.6          00007F7F1DE9D520  Unknown               Unknown  Unknown
libc.so.6          00007F7F1DE9D75B  kill                  Unknown  Unknown
standin            000000000E087AEA  Unknown               Unknown  Unknown
standin            000000000041E724  Unknown               Unknown  Unknown
`

// catchSignals makes SIGTERM end the process as the Fortran runtime does, with
// a traceback and no banner, and ctrl-c ask for a sense switch.
func (r *run) catchSignals(screen io.Writer) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range caught {
			if sig == syscall.SIGINT {
				r.ask(screen)
				continue
			}
			if r.deaf.Load() {
				continue
			}
			_, _ = io.WriteString(r.stderr, traceback)
			os.Exit(exitSIGTERM)
		}
	}()
}

// ask reads a sense switch from stdin; without a terminal there is none, and
// the run goes on.
func (r *run) ask(screen io.Writer) {
	if screen == nil {
		return
	}
	fmt.Fprint(screen, "\n enter sense switch:\n")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return
	}
	if sw, _ := parseSwitch(line); sw != "" {
		select {
		case r.typed <- sw:
		default:
		}
	}
}

// dieInDump leaves half a restart file behind, as a crash in the middle of
// writing does.
func (r *run) dieInDump(path string, half []byte) {
	if err := os.WriteFile(path, half, 0o644); err != nil {
		fmt.Fprintln(r.stderr, "stand-in solver:", err)
	}
	dieBy(syscall.SIGKILL)
}
