// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const help = `The stand-in solver: takes LS-DYNA's place in tests. It is not LS-DYNA.

usage: solver i=deck.k [ncpu=N] [memory=20m] [memory2=20m] [jobid=J] [r=d3dump01]
              [endtime=T] [ncycle=N] [d=nodump] [p=pfile] [case] [long=y]

environment:
  STANDIN_PACE=2ms     time that every cycle takes at least
  STANDIN_POLL=100     cycles between looks for d3kil
  STANDIN_PLAY=FILE    act a play: texts to print and an end, without computing
  STANDIN_FAULT=...    failures, separated by commas; in a deck: $ standin: ...

failures (N is a cycle; with MPP they strike rank=R, default 0):
  error=N              error termination (*** Error 40500) at cycle N
  negative_volume=N    *** Error 40509, negative volume, at cycle N
  abort=N segv=N kill=N  die by SIGABRT, SIGSEGV, SIGKILL
  oom=N                allocate and touch memory, 4 GiB at most, then die by SIGABRT
  hang=N               stop computing; still reads no d3kil
  vanish=N             leave without a banner, exit 0
  truncate_dump        the next dump is cut in the middle, then die by SIGKILL
  exit_code=C          exit with C whatever happened
  short=F              normal termination at fraction F of the end time
  warnings=N           print N warnings
  energy_drift=N       in glstat the energy ratio rises by 1 % a cycle from N on
  dt_collapse=N        the time step that is printed falls to a thousandth at N
  added_mass=P         in glstat P per cent of mass are added
  quiet=N              print nothing from cycle N on, and go on computing, until a
                       sense switch comes
  element_limit=N      *** Error 70043 when the model has more than N elements
  license_refused      no licence; leaves without a banner
  license_wait=S       wait S seconds for a licence (forever: without end)
  ignore_sigterm       live on after SIGTERM
  ignore_d3kil         never look for d3kil
  keep_d3kil           obey d3kil, and leave it
  child=S              leave a child process behind that sleeps S seconds,
                       in its own session
  rank=R               the rank that the cycle failures strike
  case=N               the failures strike the Nth run of a deck with *CASE
`

// Faults are the failures asked for, by name.
type Faults map[string]string

// names of the failures; the value says whether a number must follow.
var faultNames = map[string]bool{
	"error": true, "negative_volume": true, "abort": true, "segv": true, "kill": true, "oom": true,
	"hang": true, "vanish": true, "truncate_dump": false, "exit_code": true, "short": true,
	"warnings": true, "element_limit": true, "license_refused": false, "license_wait": true,
	"ignore_sigterm": false, "ignore_d3kil": false, "keep_d3kil": false, "child": true, "rank": true, "case": true,
	"energy_drift": true, "dt_collapse": true, "added_mass": true, "quiet": true,
}

// parseFaults reads failures such as "hang=50,ignore_sigterm".
func parseFaults(words []string) (Faults, error) {
	f := Faults{}
	for _, word := range words {
		for _, w := range strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ' ' }) {
			name, value, _ := strings.Cut(w, "=")
			number, ok := faultNames[name]
			if !ok {
				return nil, fmt.Errorf("the stand-in solver has no failure %q: see -help", name)
			}
			if _, err := strconv.ParseFloat(value, 64); number && err != nil && value != "forever" {
				return nil, fmt.Errorf("failure %s of the stand-in solver needs a number: %s=N", name, name)
			}
			f[name] = value
		}
	}
	return f, nil
}

func (f Faults) has(name string) bool { _, ok := f[name]; return ok }

func (f Faults) number(name string, otherwise float64) float64 {
	if v, err := strconv.ParseFloat(f[name], 64); err == nil {
		return v
	}
	return otherwise
}

// due says whether a failure strikes this rank at this cycle.
func (f Faults) due(name string, rank, cycle int) bool {
	return f.has(name) && int(f.number(name, 0)) == cycle && int(f.number("rank", 0)) == rank
}

// past says for how many cycles a failure that lasts has been there; 0 where it is not.
func (f Faults) past(name string, cycle int) int {
	if !f.has(name) {
		return 0
	}
	return max(cycle-int(f.number(name, 0))+1, 0)
}

// strike carries out the failures that need nothing of the run. It returns
// only when none is due, or with vanish true when the process has to leave.
func (f Faults) strike(rank, cycle int) (vanish bool) {
	for name, sig := range map[string]syscall.Signal{"abort": syscall.SIGABRT, "segv": syscall.SIGSEGV, "kill": syscall.SIGKILL} {
		if f.due(name, rank, cycle) {
			dieBy(sig)
		}
	}
	if f.due("hang", rank, cycle) {
		select {} // signal handling keeps the runtime from calling this a deadlock
	}
	if f.due("oom", rank, cycle) {
		exhaustMemory()
	}
	return f.due("vanish", rank, cycle)
}

// kernelSigaction is struct sigaction of the kernel's rt_sigaction; zero is
// SIG_DFL. 32 bytes on amd64 and arm64.
type kernelSigaction struct{ handler, flags, restorer, mask uint64 }

// dieBy ends the process by a signal's default action, as a program without a
// handler dies; Go's own handler would turn SIGSEGV and SIGABRT into exit 2.
func dieBy(sig syscall.Signal) {
	var act kernelSigaction
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	_ = syscall.Kill(os.Getpid(), sig)
	select {}
}

// mostMemory bounds exhaustMemory where no limit does: a machine without free memory
// stands still for many minutes.
const mostMemory = 4 << 30

// exhaustMemory takes memory and touches each page until the kernel's limit
// ends the process. The pause lets a watcher see the growth.
func exhaustMemory() {
	debug.SetGCPercent(-1)
	const size = 16 << 20
	var kept [][]byte
	for len(kept) < mostMemory/size {
		block := make([]byte, size)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
		runtime.KeepAlive(kept)
		time.Sleep(time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "nothing limits the memory")
	dieBy(syscall.SIGABRT)
}

// leaveChild starts a process of its own session that outlives the solver: the
// solver itself, asked to sleep.
func leaveChild(seconds string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "STANDIN_SLEEP="+seconds)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start child: %w", err)
	}
	return cmd.Process.Release()
}

// sleepAsChild is what such a child does.
func sleepAsChild() bool {
	s, err := strconv.ParseFloat(os.Getenv("STANDIN_SLEEP"), 64)
	if err == nil {
		time.Sleep(time.Duration(s * float64(time.Second)))
	}
	return err == nil
}
