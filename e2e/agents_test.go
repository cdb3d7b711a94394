// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// stepTimeout bounds one thing a test waits for. It is long: on two busy cores,
// and more so in an emulated machine, everything takes its time.
var stepTimeout = func() time.Duration {
	if inVM() {
		return 4 * time.Minute
	}
	return 2 * time.Minute
}()

// inVM tells whether this is the payload of e2e/vm.
func inVM() bool { return os.Getenv("LSDYNA_E2E_VM") != "" }

// within returns a context for one step of a test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	t.Cleanup(cancel)
	return ctx
}

// binary returns the full path of a built binary, or ends the test without it.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LSDYNA_E2E_BIN")
	if dir == "" {
		dir = filepath.Join("..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if name == "nomad" {
		path, err = cluster.NomadPath(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("LSDYNA_E2E_REQUIRED") != "" {
			t.Fatalf("%v: run `make build bin/nomad`", err)
		}
		t.Skipf("%v: run `make build bin/nomad` for this test", err)
	}
	return path
}

// requireRoot skips a test of what only root can do.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// newAgent makes an agent that is ended and removed with the test, which fails if
// the agent left a process behind. It is not started yet.
func newAgent(t *testing.T, cfg cluster.Config) *cluster.Agent {
	t.Helper()
	if cfg.Nomad == "" {
		cfg.Nomad = binary(t, "nomad")
	}
	a, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of agent %s:\n%s", a.Path(), logForFailure(a))
		}
		if err := a.Close(); err != nil {
			t.Errorf("end agent: %v", err)
		}
	})
	return a
}

// newClient is newAgent for a client with a server of its own, which is running,
// unless the configuration names one. It starts much faster than one agent that is
// both.
func newClient(t *testing.T, cfg cluster.Config) *cluster.Agent {
	t.Helper()
	if cfg.Server == nil {
		cfg.Server = newAgent(t, cluster.Config{Nomad: cfg.Nomad, Role: cluster.ServerOnly})
		start(t, cfg.Server)
	}
	cfg.Role = cluster.ClientOnly
	return newAgent(t, cfg)
}

// logForFailure returns what of the agent's log may explain a failed test.
func logForFailure(a *cluster.Agent) string {
	var kept []string
	for line := range strings.Lines(a.LogTail(50_000_000)) {
		noise := []string{"[DEBUG] http:", "[TRACE]", "[DEBUG] worker", "scheduling worker", "raft"}
		if !slices.ContainsFunc(noise, func(n string) bool { return strings.Contains(line, n) }) {
			kept = append(kept, line)
		}
	}
	const lines = 60
	return strings.Join(kept[max(0, len(kept)-lines):], "")
}

// start starts the agent and ends the test where that fails.
func start(t *testing.T, a *cluster.Agent) {
	t.Helper()
	if err := a.Start(within(t)); err != nil {
		t.Fatal(err)
	}
}

// syncDisk writes out what a power cut would otherwise lose.
func syncDisk() { unix.Sync() }
