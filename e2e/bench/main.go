// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command bench measures the driver beside Nomad's own raw_exec, in one run on
// real Nomad agents: one client has both drivers, and the tasks differ in nothing
// but the driver. Both run the same tiny program (bench/solver) in the solver's
// place, as the same user. What is measured:
//
// Start: from the client's last word before it calls StartTask, in its log, to the
// solver's first instruction by its own clock. Drivers take turns. The client's
// preparation of the task (directories, log collector) comes before and is not
// counted; our plugin's RPC is.
//
// Launch: one MPP run on two nodes, which are network namespaces: from the start of the
// node that comes last to the first rank's first instruction. Beside it Open MPI's mpirun
// alone, whose agent is in the other namespace at once. No Nomad takes part.
//
// Memory: Private_Clean and Private_Dirty of each process that a driver keeps beside
// a running solver: our supervisor, raw_exec's executor. Nomad's log collector
// (logmon) is there for both and not counted. Our plugin is one process on a node,
// shown apart.
//
// Recovery: client and plugin are killed with SIGKILL and the client is started
// again. The drivers' work is what the client spends on the driver until it has
// every task again: all calls of RecoverTask, which it makes one after the other,
// and for our plugin, because it looks for live solvers then, its configuration.
// The whole is from the start of the client's process to the last task that counts
// as running, most of which is Nomad's own.
//
// Load: many tasks of one driver on one client are started, left alone, recovered
// after SIGKILL of client and plugin, and stopped. At rest the CPU time and the private
// memory of the driver's own processes count: for us the plugin and its supervisors, for
// raw_exec the executors; what it does inside Nomad's client is not counted.
//
// Medians are compared: they do not mind what else the machine does for a moment.
//
// It needs root, as Nomad's raw_exec does for cgroups and users, and removes
// everything when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	starts     int // of each driver
	tasks      int // to recover
	recoveries int // of each driver
	launches   int // on two nodes, of each kind
	load       int // tasks at once on one client, of each driver
	rest       time.Duration
}

var (
	full  = plan{launches: 20, starts: 60, tasks: 100, recoveries: 5, load: 200, rest: 30 * time.Second}
	short = plan{launches: 5, starts: 20, tasks: 50, recoveries: 3, load: 30, rest: 10 * time.Second}
)

func main() {
	bin := flag.String("bin", "bin", "`directory` with nomad, nomad-driver-lsdyna and bench-solver")
	quick := flag.Bool("short", false, "measure less often, with fewer tasks")
	starts := flag.Int("starts", -1, "`how many` starts of each driver instead")
	tasks := flag.Int("tasks", -1, "`how many` tasks of each driver to recover instead")
	recoveries := flag.Int("recoveries", -1, "`how often` to recover them instead")
	launched := flag.Int("launches", -1, "`how many` launches on two nodes instead")
	loaded := flag.Int("load", -1, "`how many` tasks of each driver for the load instead")
	traced := flag.Bool("trace", false, "print where one start goes, by strace, and nothing else")
	flag.Parse()

	if os.Geteuid() != 0 {
		fmt.Println("skipped: the benchmarks need root, for cgroups and to run tasks as another user")
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := full
	if *quick {
		p = short
	}
	for _, n := range []struct {
		flag int
		into *int
	}{{*starts, &p.starts}, {*tasks, &p.tasks}, {*recoveries, &p.recoveries}, {*loaded, &p.load}, {*launched, &p.launches}} {
		if n.flag >= 0 {
			*n.into = n.flag
		}
	}
	measure := func() error { return run(ctx, *bin, p) }
	if *traced {
		measure = func() error { return traceStart(ctx, *bin, os.Stdout) }
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, p plan) error {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	r := newResults()
	var err error
	if p.starts > 0 {
		say("start and memory: %d starts of each driver", p.starts)
		if err := startAndMemory(ctx, bin, p.starts, &r, say); err != nil {
			return err
		}
	}
	if p.launches > 0 {
		say("launch: %d runs on two nodes with our launch daemon, and as many with mpirun alone", p.launches)
		if err := launches(ctx, bin, p.launches, &r); err != nil {
			return err
		}
	}
	say("recovery: %d tasks of each driver", p.tasks)
	for _, d := range drivers {
		if p.recoveries == 0 {
			break
		}
		if r.recovery[d], err = recoverTasks(ctx, bin, d, p, say); err != nil {
			return err
		}
	}
	for _, d := range drivers {
		if p.load == 0 {
			break
		}
		if r.load[d], err = carry(ctx, bin, d, p, say); err != nil {
			return err
		}
	}
	say("done")
	return r.print(os.Stdout, p)
}
