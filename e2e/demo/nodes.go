// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// bridge connects the machines of the demo, which are network namespaces.
var bridge = cluster.Bridge{Name: "lsd-demo0", Network: netip.MustParsePrefix("10.77.0.0/24")}

// runNodes shows one MPP run on two machines.
func (d *demo) runNodes(ctx context.Context) (err error) {
	mpirun, err := exec.LookPath("mpirun.openmpi")
	if err != nil {
		return fmt.Errorf("install Open MPI (Debian: openmpi-bin): %w", err)
	}
	var machines []*cluster.Agent
	defer func() {
		if err != nil && ctx.Err() == nil && len(machines) > 0 {
			d.client = machines[0]
			d.explain()
		}
		for _, a := range append(slices.Clone(machines), d.server) {
			if a != nil {
				err = errors.Join(err, a.Close())
			}
		}
		if err == nil {
			d.say("Everything that the demo started is gone again.")
		}
	}()
	d.say("A Nomad server, and two clients with a network, a host name and an address of their own")
	if err := d.startServer(ctx); err != nil {
		return err
	}
	for i := 1; i <= 2; i++ {
		a, err := d.startMachine(ctx, i, mpirun)
		if a != nil {
			machines = append(machines, a)
		}
		if err != nil {
			return err
		}
	}
	return d.showNodes(ctx, machines)
}

func (d *demo) startServer(ctx context.Context) (err error) {
	if err := bridge.Make(); err != nil {
		return fmt.Errorf("as root, by make demo-mpp: %w", err)
	}
	nomad, err := cluster.NomadPath(d.bin)
	if err != nil {
		return err
	}
	if d.server, err = cluster.New(cluster.Config{Nomad: nomad, Role: cluster.ServerOnly, Address: bridge.Address()}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return d.server.Start(ctx)
}

// startMachine starts the client 10.77.0.i. The run folder is the server's, which all
// machines see.
func (d *demo) startMachine(ctx context.Context, i int, mpirun string) (*cluster.Agent, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	a, err := cluster.New(cluster.Config{
		Nomad: d.server.Config.Nomad, Role: cluster.ClientOnly, Server: d.server, Plugin: filepath.Join(d.bin, cluster.PluginName),
		Network: bridge.Machine(i),
	})
	if err != nil {
		return nil, err
	}
	solver, err := d.server.InstallBinary(filepath.Join(d.bin, "lsdyna-standin"), "bin/standin_mpp_d_R14")
	if err != nil {
		return a, err
	}
	if err := os.MkdirAll(d.server.Path("runs"), 0o755); err != nil {
		return a, err
	}
	a.Config.PluginConfig = fmt.Sprintf(`
    state_dir  = %q
    work_roots = [%q]
    solver "standin" {
      path      = %q
      parallel  = "mpp"
      precision = "double"
      mpi       = "openmpi"
      mpirun    = %q
    }`, a.StateDir(), d.server.Path("runs"), solver, mpirun)
	if err := a.Start(ctx); err != nil {
		return a, err
	}
	return a, a.WaitDriverHealthy(ctx, cluster.DriverName)
}

// showNodes runs the example job and shows where its ranks are.
func (d *demo) showNodes(ctx context.Context, machines []*cluster.Agent) error {
	d.client = d.server // where the run folder is
	folder, err := d.runFolder("solid_bar_impact", "nodes")
	if err != nil {
		return err
	}
	file := filepath.Join(d.example, "jobs", "mpp-nodes.nomad.hcl")
	d.say("Job %s: one run, two nodes, two ranks on each", file)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	job, err := d.server.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{
		JobHCL: string(text), Variables: fmt.Sprintf("solver = \"standin\"\nrun_dir = %q\n", folder), Canonicalize: true,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	t, little := job.TaskGroups[0].Tasks[0], 100
	t.Env = map[string]string{"STANDIN_PACE": "5ms"}
	t.Resources.CPU, t.Resources.MemoryMB = &little, &little
	if _, _, err := d.server.API.Jobs().Register(job, nil); err != nil {
		return fmt.Errorf("register job: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*stepTimeout)
	defer cancel()
	allocs, err := d.server.WaitPlaced(ctx, *job.ID, 2)
	if err != nil {
		return err
	}
	err = cluster.Poll(ctx, "ranks that compute", func() (bool, string, error) {
		out, _ := os.ReadFile(filepath.Join(folder, "stdout"))
		return progressLine.Match(out), string(out), nil
	})
	if err != nil {
		return err
	}
	for _, a := range machines {
		if err := d.lookAt(ctx, a, folder); err != nil {
			return err
		}
	}
	d.say("The end of the run, as each node's task tells it")
	for _, stub := range allocs {
		alloc, err := d.server.WaitAlloc(ctx, stub.ID, cluster.Terminal)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(d.out, "allocation %s on %s is %s\n", alloc.ID[:8], alloc.NodeName, alloc.ClientStatus)
		for _, e := range cluster.Events(alloc, task) {
			_, _ = fmt.Fprintf(d.out, "  %s\n", strings.TrimSpace(e))
		}
		if alloc.ClientStatus != api.AllocClientStatusComplete {
			return fmt.Errorf("the allocation is %s", alloc.ClientStatus)
		}
	}
	return nil
}

// lookAt prints what an operator of one machine would look at.
func (d *demo) lookAt(ctx context.Context, a *cluster.Agent, folder string) error {
	d.say("On %s (%s)", a.Config.Network.Host, a.Config.Network.Address.Addr())
	var text bytes.Buffer
	cmd := exec.CommandContext(ctx, a.PluginPath(), "status", "-state-dir", a.StateDir())
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	_, _ = fmt.Fprintf(d.out, "$ %s status\n%s", cluster.PluginName, &text)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	all, err := a.Processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Cwd != folder || !strings.HasPrefix(filepath.Base(p.Exe), "standin_") {
			continue
		}
		threads, err := proc.ThreadCPUs(p.PID)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(d.out, "rank, pid %d: bound to CPU %s\n", p.PID, threads[p.PID])
	}
	return nil
}
