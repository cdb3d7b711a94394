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
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// A bed is two network namespaces, joined by a pair of interfaces, with an address each.
type bed struct {
	mpirun  string
	driver  string
	solver  string
	dir     string
	holders [2]*exec.Cmd
}

// addresses are those of the two ends.
var addresses = [2]string{"10.77.1.1", "10.77.1.2"}

const launchPort = 7700

// launches measures how long it takes from the start of the last node to the first rank's
// first instruction, on two nodes with one rank each: with our launch daemon, and with
// mpirun alone, whose agent enters the other namespace at once, as no ssh could.
func launches(ctx context.Context, bin string, rounds int, r *results) (err error) {
	mpirun, err := exec.LookPath("mpirun.openmpi")
	if err != nil {
		return nil // not measured
	}
	b, err := newBed(ctx, bin, mpirun)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	for i := range rounds + 1 { // the first of each loads binaries and is not counted
		for _, way := range []struct {
			name string
			into *[]float64
			once func(context.Context, string) (time.Duration, error)
		}{{"ours", &r.launch, b.ours}, {"mpirun", &r.launchPeer, b.peer}} {
			folder := filepath.Join(b.dir, way.name+strconv.Itoa(i))
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			took, err := way.once(ctx, folder)
			if err != nil {
				return fmt.Errorf("launch on two nodes: %w", err)
			}
			if i > 0 {
				*way.into = append(*way.into, took.Seconds())
			}
		}
	}
	return nil
}

func newBed(ctx context.Context, bin, mpirun string) (b *bed, err error) {
	b = &bed{mpirun: mpirun}
	if b.driver, err = filepath.Abs(filepath.Join(bin, cluster.PluginName)); err != nil {
		return b, err
	}
	if b.solver, err = filepath.Abs(filepath.Join(bin, "bench-solver")); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "lsd-launch-"); err != nil {
		return b, err
	}
	for i := range b.holders {
		cmd := exec.CommandContext(ctx, "unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return b, err
		}
		if err := cmd.Start(); err != nil {
			return b, err
		}
		b.holders[i] = cmd
		if _, err := out.Read(make([]byte, 16)); err != nil {
			return b, fmt.Errorf("network namespace (install iproute2): %w", err)
		}
	}
	pid := func(i int) string { return strconv.Itoa(b.holders[i].Process.Pid) }
	for _, args := range [][]string{
		{"ip", "link", "add", "eth0", "netns", pid(0), "type", "veth", "peer", "name", "eth0", "netns", pid(1)},
		{"nsenter", "--target", pid(0), "--net", "ip", "addr", "add", addresses[0] + "/24", "dev", "eth0"},
		{"nsenter", "--target", pid(1), "--net", "ip", "addr", "add", addresses[1] + "/24", "dev", "eth0"},
		{"nsenter", "--target", pid(0), "--net", "ip", "link", "set", "eth0", "up"},
		{"nsenter", "--target", pid(1), "--net", "ip", "link", "set", "eth0", "up"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return b, fmt.Errorf("%q: %w: %s", args, err, out)
		}
	}
	return b, nil
}

func (b *bed) close() error {
	for _, h := range b.holders {
		if h != nil {
			_ = h.Process.Kill()
			_ = h.Wait()
		}
	}
	if b.dir == "" {
		return nil
	}
	return os.RemoveAll(b.dir)
}

// in is a command in one of the namespaces, in the run folder.
func (b *bed) in(node int, folder string, command ...string) *exec.Cmd {
	args := append([]string{"--target", strconv.Itoa(b.holders[node].Process.Pid), "--net", "--"}, command...)
	cmd := exec.Command("nsenter", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "BENCH_STAMPS="+folder, "NOMAD_ALLOC_ID=stamps")
	return cmd
}

// stampsOf waits for the ranks' stamps, of both nodes, and returns the first.
func stampsOf(ctx context.Context, folder string) (first time.Time, pids []int, err error) {
	err = cluster.Poll(ctx, "the ranks", func() (bool, string, error) {
		raw, err := os.ReadFile(filepath.Join(folder, "stamps"))
		if err != nil || bytes.Count(raw, []byte("\n")) < 2 {
			return false, string(raw), nil
		}
		all, err := parseStamps(string(raw))
		for i, s := range all {
			pids = append(pids, s.pid)
			if i == 0 || s.born.Before(first) {
				first = s.born
			}
		}
		return true, "", err
	})
	return first, pids, err
}

// finish ends the ranks and waits for what had launched them.
func finish(pids []int, commands ...*exec.Cmd) {
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGTERM)
	}
	for _, cmd := range commands {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Wait()
		}
	}
}

const launchTimeout = 30 * time.Second

// peer is mpirun with an agent that is there at once.
func (b *bed) peer(ctx context.Context, folder string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	agent := filepath.Join(folder, "agent.sh")
	text := fmt.Sprintf("#!/bin/sh\nshift\nexec nsenter --target %d --net -- /bin/sh -c \"$*\"\n", b.holders[1].Process.Pid)
	if err := os.WriteFile(agent, []byte(text), 0o755); err != nil {
		return 0, err
	}
	c, err := launch.Nodes{
		Hosts:   []launch.Host{{Label: "a", Ranks: 1}, {Label: "lsdyna-node-1-b", Ranks: 1}},
		Address: addresses[0], Network: "10.77.1.0/24", Agent: agent, Root: true,
	}.Command(b.mpp(), nil)
	if err != nil {
		return 0, err
	}
	cmd := b.in(0, folder, append([]string{c.Path}, c.Args...)...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	first, pids, err := stampsOf(ctx, folder)
	finish(pids, cmd)
	return first.Sub(began), err
}

func (b *bed) mpp() lsdyna.Solver {
	return lsdyna.Solver{Name: "bench", Path: b.solver, Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.OpenMPI, MPIRun: b.mpirun}
}

// ours starts the leading node, and when it waits the other.
func (b *bed) ours(ctx context.Context, folder string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	node := func(i int, command string) (*exec.Cmd, error) {
		c := nodes.Config{
			Self: member.Record{
				Run: member.Key("bench", filepath.Base(folder), "launch"), Index: i, Nodes: 2, Alloc: "a" + strconv.Itoa(i), Node: "n" + strconv.Itoa(i),
				Address: addresses[i] + ":" + strconv.Itoa(launchPort), Ranks: 1, Threads: 1, Cores: [][]int{{0}}, At: time.Now(),
			},
			Network: netip.MustParsePrefix(addresses[i] + "/24"), Patience: launchTimeout,
		}
		if i == 0 {
			c.Solver, c.Root, c.Stdout = b.mpp(), true, "stdout"
		}
		text, err := c.Encode()
		if err != nil {
			return nil, err
		}
		cmd := b.in(i, folder, b.driver, command)
		cmd.Env = append(cmd.Env, nodes.ConfigEnv+"="+text)
		out, err := os.Create(filepath.Join(folder, "stdout-"+strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		return cmd, cmd.Start()
	}
	lead, err := node(0, nodes.LeadCommand)
	if err != nil {
		return 0, err
	}
	err = cluster.Poll(ctx, "the leading node", func() (bool, string, error) {
		said, err := os.ReadFile(filepath.Join(folder, "stdout-0"))
		return strings.Contains(string(said), output.NodesWaiting), string(said), err
	})
	if err != nil {
		return 0, errors.Join(err, lead.Process.Kill(), lead.Wait())
	}
	began := time.Now()
	follow, err := node(1, nodes.FollowCommand)
	if err != nil {
		return 0, errors.Join(err, lead.Process.Kill(), lead.Wait())
	}
	first, pids, err := stampsOf(ctx, folder)
	finish(pids, lead, follow)
	return first.Sub(began), err
}
