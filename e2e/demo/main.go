// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command demo shows the driver at work: it runs a real Nomad server and client
// in a temporary directory, with the driver set up for the stand-in solver, and
// on it two of the example jobs. While they run it prints what an operator would
// look at, kills the plugin and the client under the first, and stops the second.
//
// With -pictures DIR it runs a job and takes screenshots of the page about it, and of Nomad's
// UI, into DIR: `make screenshots`. With -stay it runs the agents and waits for ^C: `make agent`.
//
// It works as root and as any user, listens on loopback ports that nobody has,
// and removes everything when it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

func main() {
	bin := flag.String("bin", "bin", "`directory` with nomad, nomad-driver-lsdyna and lsdyna-standin")
	example := flag.String("example", "example", "`directory` with jobs and decks")
	nodes := flag.Bool("nodes", false, "show one MPP run on two machines, as network namespaces; as root, in one of its own")
	stay := flag.Bool("stay", false, "run the agents without the show, until ^C")
	shots := flag.String("pictures", "", "take screenshots of the page about a run and of Nomad's UI, into this `directory`")
	flag.Parse()

	// Also where the terminal is closed, or nobody reads any more: solvers and agents would go on.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	d := &demo{bin: *bin, example: *example, out: os.Stdout}
	run := func() error { return d.run(ctx, *stay, *shots) }
	if *nodes {
		run = func() error { return d.runNodes(ctx) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// stepTimeout bounds each thing that the demo waits for.
const stepTimeout = 60 * time.Second

type demo struct {
	bin, example   string
	out            io.Writer
	nomad          string // its binary
	server, client *cluster.Agent
}

func (d *demo) run(ctx context.Context, stay bool, shots string) (err error) {
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.explain()
		}
		for _, a := range []*cluster.Agent{d.client, d.server} {
			if a != nil {
				err = errors.Join(err, a.Close())
			}
		}
		if err == nil {
			d.say("Everything that the demo started is gone again.")
		}
	}()
	if err := d.startAgents(ctx); err != nil {
		return err
	}
	switch {
	case stay:
		return d.waitForInterrupt(ctx)
	case shots != "":
		return d.takePictures(ctx, shots)
	}
	if err := d.survive(ctx); err != nil {
		return err
	}
	return d.stopInTime(ctx)
}

// explain prints what may tell why the demo failed.
func (d *demo) explain() {
	if d.client == nil {
		return
	}
	d.say("What went wrong")
	if stubs, _, err := d.server.API.Allocations().List(nil); err == nil {
		for _, stub := range stubs {
			if alloc, _, err := d.server.API.Allocations().Info(stub.ID, nil); err == nil {
				_, _ = fmt.Fprint(d.out, cluster.DescribeAlloc(alloc))
			}
		}
	}
	for line := range strings.Lines(d.client.LogTail(1_000_000)) {
		if strings.Contains(line, "[WARN]") || strings.Contains(line, "[ERROR]") {
			_, _ = fmt.Fprint(d.out, line)
		}
	}
}

// say prints a heading of the show.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "\n== "+format+"\n", args...)
}

// startAgents runs a server, and a client with the driver.
func (d *demo) startAgents(ctx context.Context) (err error) {
	d.say("A Nomad server and a client with the driver; the solver is a stand-in, not LS-DYNA")
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if d.nomad, err = cluster.NomadPath(d.bin); err != nil {
		return err
	}
	if d.server, err = cluster.New(cluster.Config{Nomad: d.nomad, Role: cluster.ServerOnly}); err != nil {
		return err
	}
	if err := d.server.Start(ctx); err != nil {
		return err
	}
	d.client, err = cluster.New(cluster.Config{
		Nomad:  d.nomad,
		Role:   cluster.ClientOnly,
		Server: d.server,
		Plugin: filepath.Join(d.bin, cluster.PluginName),
		HCL:    "telemetry {\n  publish_allocation_metrics = true\n}\n", // for the graphs of the web interface
	})
	if err != nil {
		return err
	}
	solver, err := d.client.InstallBinary(filepath.Join(d.bin, "lsdyna-standin"), "bin/lsdyna-standin")
	if err != nil {
		return err
	}
	// Without any of its work roots a node is unhealthy.
	if err := os.MkdirAll(d.client.Path("runs"), 0o755); err != nil {
		return err
	}
	d.client.Config.PluginConfig = fmt.Sprintf(`
    state_dir  = %q
    work_roots = [%q]
    solver "standin" {
      path      = %q
      parallel  = "smp"
      precision = "double"
    }`, d.client.StateDir(), d.client.Path("runs"), solver)
	if err := d.client.Start(ctx); err != nil {
		return err
	}
	if err := d.client.WaitDriverHealthy(ctx, cluster.DriverName); err != nil {
		return err
	}
	node, err := d.client.Node()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.out, "%s\n", node.Drivers[cluster.DriverName].HealthDescription)
	return nil
}

// runFolder copies an example deck to where tasks may run and write.
func (d *demo) runFolder(deck, name string) (string, error) {
	dir := d.client.Path("runs", name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(d.example, "decks", deck))); err != nil {
		return "", fmt.Errorf("run folder: %w", err)
	}
	if os.Geteuid() != 0 {
		return dir, nil
	}
	const nobody = 65534 // the driver's default user for tasks
	return dir, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// waitForInterrupt tells how to use the agents and keeps them until ^C.
func (d *demo) waitForInterrupt(ctx context.Context) error {
	runs := d.client.Path("runs")
	for _, deck := range []string{"solid_bar_impact", "shell_box_crush"} {
		if _, err := d.runFolder(deck, deck); err != nil {
			return err
		}
	}
	d.say("Ready; ^C ends it")
	_, _ = fmt.Fprintf(d.out, `  web interface   http://%s
  a job           NOMAD_ADDR=http://%[1]s %s job run -var solver=standin -var cores=1 -var run_dir=%s/solid_bar_impact %s/jobs/smp.nomad.hcl
  its deck        %[3]s/solid_bar_impact (beside it shell_box_crush); -var run_dir=FOLDER for another, owned by nobody
  who has which   %[5]s status -state-dir %[6]s
  agent's log     %[7]s
`, d.server.HTTPAddr(), d.nomad, runs, d.example, filepath.Join(d.bin, cluster.PluginName), d.client.StateDir(), d.client.LogPath())
	<-ctx.Done()
	return nil
}
