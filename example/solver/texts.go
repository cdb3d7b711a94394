// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// legal stands where LS-DYNA prints its legal notices, in the same form.
const legal = `

 ***************************************************************
 *            STAND-IN SOLVER        LEGAL NOTICES             *
 ***************************************************************
 *                                                             *
 * Copyright The nomad-driver-lsdyna Authors.                  *
 * Mozilla Public License, version 2.0.                        *
 *                                                             *
 * This is not LS-DYNA, and has no part of it. It takes        *
 * LS-DYNA's place in tests and demonstrations of a job        *
 * runner, and must not be used for engineering.               *
 *                                                             *
 ***************************************************************

`

const notice = `
 ********  notice  ********  notice  ********  notice  ********
 *                                                            *
 * This is the stand-in solver, not LS-DYNA.                  *
 *                                                            *
 * Its results are those of a simplified method and carry no  *
 * responsibility of anybody.                                 *
 *                                                            *
 ********  notice  ********  notice  ********  notice  ********

`

const switchList = `
 on UNIX computers a sense switch is given in file d3kil:

    type                      response
   -----   ------------------------------------------------------------
   quit    ls-dyna terminates.
   stop    ls-dyna terminates.
   sw1.    a restart file is written and ls-dyna terminates.
   sw2.    ls-dyna responds with time and cycle numbers.    
   sw3.    a restart file is written and ls-dyna continues calculations.
   sw4.    a plot state is written and ls-dyna continues calculations.
   swa.    ls-dyna flushes all output i/o buffers.
   swb.    a dynain is written and ls-dyna continues calculations.
   swc.    a restart and dynain are written and ls-dyna continues calculations.
   swd.    a restart and dynain are written and ls-dyna terminates.
   endtime=time change the termination time

`

const (
	release    = "R14.1-0-g57a9d1050"
	built      = "11/22/2026"
	builtAt    = "00:00:00"
	underlined = "R14.1_0_57a9d10"
)

// header is the box that names program, version and machine.
func header(id identity, ranks int, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "     |  %-49.49s|\n", fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "      Date: %s      Time: %s  \n", now.Format("01/02/2006"), now.Format("15:04:05"))
	b.WriteString("      ___________________________________________________ \n")
	line("")
	line("Stand-in solver, speaks the interface of LS-DYNA,")
	line("A Program for Nonlinear Dynamic Analysis")
	line("Date    : %s    Time: %s", built, builtAt)
	line("Version : %s", id.version())
	line("Revision: %s", release)
	line("")
	line("Features enabled in this version:")
	if id.Parallel == "smp" {
		line("  Shared Memory Parallel")
	} else {
		line("  Distributed Memory Parallel")
	}
	line("")
	line("Licensed to: stand-in solver, not LS-DYNA")
	line("Issued by  : nomad-driver-lsdyna")
	line("")
	line("Platform   : %s System", runtime.GOARCH)
	line("OS Level   : %s", runtime.GOOS)
	line("Compiler   : %s", runtime.Version())
	host, _ := os.Hostname()
	line("Hostname   : %s", host)
	if id.Precision == "s" {
		line("Precision  : Single precision (I4R4)")
	} else {
		line("Precision  : Double precision (I8R8)")
	}
	line("")
	b.WriteString("     |___________________________________________________|\n\n")
	if id.Parallel != "smp" {
		fmt.Fprintf(&b, " MPP execution with %7d procs\n\n", ranks)
	}
	return b.String()
}

// options lists the command line the way LS-DYNA repeats it.
func options(words []string) string {
	return " Command line options: " + strings.Join(words, " \n                       ") + "\n\n"
}

// stopwatch adds up wall clock time by the parts of the end block.
type stopwatch struct {
	start time.Time
	parts [6]time.Duration
	last  time.Time
}

// The parts of the timing table.
const (
	timeKeyword = iota
	timeInit
	timeElement
	timeBinary
	timeASCII
	timeOther
)

var timeNames = [...]string{
	"Keyword Processing ...", "Initialization .......", "Element processing ...",
	"Binary databases .....", "ASCII database .......", "Others ...............",
}

// lap gives the time since the last lap to a part.
func (w *stopwatch) lap(part int) {
	now := time.Now()
	w.parts[part] += now.Sub(w.last)
	w.last = now
}

// ending is what the end block says.
type ending struct {
	id       identity
	ranks    int
	threads  int
	cycle    int
	time     float64
	elements int
	watch    *stopwatch
	cpu      time.Duration
	now      time.Time
	words    int
}

// timing is the table of where the time went.
func (e ending) timing() string {
	var b strings.Builder
	b.WriteString("\n T i m i n g   i n f o r m a t i o n\n" +
		"                        CPU(seconds)   %CPU  Clock(seconds) %Clock\n" +
		"  ----------------------------------------------------------------\n")
	var clock time.Duration
	for _, p := range e.watch.parts {
		clock += p
	}
	share := func(d time.Duration) float64 { return d.Seconds() / max(clock.Seconds(), 1e-9) }
	row := func(name string, d time.Duration) {
		fmt.Fprintf(&b, "  %s %s %7.2f     %s %7.2f\n", name, fortran(e.cpu.Seconds()*share(d), 4), 100*share(d),
			fortran(d.Seconds(), 4), 100*share(d))
	}
	for i, p := range e.watch.parts {
		row(timeNames[i], p)
	}
	b.WriteString("  ----------------------------------------------------------------\n")
	row("T o t a l s           ", clock)
	return b.String()
}

// block is the end block without its banners.
func (e ending) block() string {
	var b strings.Builder
	b.WriteString(e.timing())
	cpu := int(e.cpu.Seconds() + 0.5)
	fmt.Fprintf(&b, "\n Problem time       =    %s\n Problem cycle      = %9d\n", fortran(e.time, 4), e.cycle)
	fmt.Fprintf(&b, " Total CPU time     = %9d seconds (%4d hours %2d minutes %2d seconds)\n", cpu, cpu/3600, cpu/60%60, cpu%60)
	elapsed := e.now.Sub(e.watch.start)
	zone := func(d time.Duration) string {
		return fmt.Sprintf("%15.3f nanoseconds", float64(d.Nanoseconds())/max(float64(e.cycle*e.elements), 1))
	}
	fmt.Fprintf(&b, " CPU time per zone cycle  =%s\n Clock time per zone cycle=%s\n\n", zone(e.cpu), zone(elapsed))
	what := fmt.Sprintf("%2d SMP thread%s", e.threads, plural(e.threads, " "))
	if e.id.Parallel == "smp" {
		fmt.Fprintf(&b, " Number of CPU's %4d\n NLQ used/max     192/  192\n", e.threads)
	} else {
		fmt.Fprintf(&b, " Parallel execution with %6d MPP proc%s\n NLQ used/max     192/  192\n", e.ranks, plural(e.ranks, ""))
		what = fmt.Sprintf("%5d MPP proc%s", e.ranks, plural(e.ranks, ""))
	}
	layout := "01/02/2006 15:04:05"
	fmt.Fprintf(&b, " Start time   %s  \n End time     %s  \n", e.watch.start.Format(layout), e.now.Format(layout))
	s := int(elapsed.Seconds() + 0.5)
	fmt.Fprintf(&b, " Elapsed time %7d second%sfor%8d cycles using %s\n", s, pluralSpace(s), e.cycle, what)
	fmt.Fprintf(&b, "             (%7d hour%s%3d minute%s%3d second%s)\n\n", s/3600, plural(s/3600, " "), s/60%60, plural(s/60%60, " "),
		s%60, plural(s%60, " "))
	return b.String()
}

func plural(n int, one string) string {
	if n > 1 {
		return "s"
	}
	return one
}

func pluralSpace(n int) string {
	if n > 1 {
		return "s "
	}
	return "  "
}

// The two banners; the blanks between the words are 4 and 3.
const (
	normalBanner = " N o r m a l    t e r m i n a t i o n"
	errorBanner  = " E r r o r   t e r m i n a t i o n"
)

// estimate is the block with the expected times, printed once.
func estimate(cpu, clock time.Duration, fraction float64) string {
	line := func(name string, d float64) string {
		d = min(max(d, 0), 9e8)
		return fmt.Sprintf(" %-33s = %9d sec (%8d hrs %2d mins)\n", name, int(d), int(d)/3600, int(d)/60%60)
	}
	f := max(fraction, 1e-9)
	return "    \n" +
		line("estimated total cpu time", cpu.Seconds()/f) + line("estimated cpu time to complete", cpu.Seconds()/f*(1-f)) +
		line("estimated total clock time", clock.Seconds()/f) + line("estimated clock time to complete", clock.Seconds()/f*(1-f))
}

// noDumps is what LS-DYNA prints where the deck asks for no dumps.
const noDumps = 99999999

// keywordCounts is the part of d3hsp that says how big the model is.
func keywordCounts(elements [4]int, nodes, parts int, endTime float64, dumpEvery int) string {
	var b strings.Builder
	row := func(name, value string) {
		fmt.Fprintf(&b, "\n    %s%s%s\n", name, strings.Repeat(".", max(0, 47-len(name))), value)
	}
	b.WriteString("\n c o n t r o l   i n f o r m a t i o n\n")
	row("number of materials or property sets", fmt.Sprintf("%8d", parts))
	row("number of nodal+scalar points", fmt.Sprintf("%8d", nodes))
	row("number of solid elements", fmt.Sprintf("%8d", elements[0]))
	row("number of beam elements", fmt.Sprintf("%8d", elements[2]))
	row("number of shell elements", fmt.Sprintf("%8d", elements[1]))
	row("termination time", "    "+fortranZero(endTime))
	if dumpEvery <= 0 {
		dumpEvery = noDumps
	}
	row("number of cycles between restart dumps", fmt.Sprintf("%8d", dumpEvery))
	return b.String()
}
