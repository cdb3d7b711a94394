// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"
)

// process is one run of the agent's binary.
type process struct {
	cmd   *exec.Cmd
	since time.Time
	done  chan struct{} // closed once the process has ended and err is set
	err   error
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Start runs the agent, the first time or again on the same data, and returns
// when it is ready for work: it has a leader, and its client a heartbeat of this
// run and healthy drivers as far as they are configured.
func (a *Agent) Start(ctx context.Context) error {
	if a.Running() {
		return errors.New("start agent: it is running")
	}
	configs, err := a.writeConfig()
	if err != nil {
		return err
	}
	args := []string{"agent"}
	for _, c := range configs {
		args = append(args, "-config="+c)
	}
	if err := a.launch(args); err != nil {
		return err
	}
	if err := a.waitReady(ctx); err != nil {
		return fmt.Errorf("%w\nend of the agent's log:\n%s", err, a.LogTail(3000))
	}
	return nil
}

// launch starts the process, with its output appended to the agent's log.
func (a *Agent) launch(args []string) error {
	log, err := os.OpenFile(a.LogPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("agent log: %w", err)
	}
	defer func() { _ = log.Close() }()
	if err := log.Chown(a.Config.owner(), a.Config.owner()); err != nil {
		return fmt.Errorf("agent log: %w", err)
	}

	cmd := exec.Command(a.Config.Nomad, args...)
	if a.cgroups != nil {
		cmd = a.cgroups.command(a.Config.Nomad, args...)
	}
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), a.Config.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// Out of the terminal's process group: ^C is for the tests, which then clean up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if id := uint32(a.Config.UID); id != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
		cmd.Env = append(cmd.Env, "HOME="+a.dir)
	}
	p := &process{cmd: cmd, since: time.Now(), done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	a.process = p
	return nil
}

// Running tells whether the agent's process is there.
func (a *Agent) Running() bool { return a.process != nil && a.process.running() }

// PID is the agent's process, 0 while it is down.
func (a *Agent) PID() int {
	if !a.Running() {
		return 0
	}
	return a.process.cmd.Process.Pid
}

// Stop interrupts the agent, as operators do, and waits for its end. It does not
// leave the cluster and its tasks go on.
func (a *Agent) Stop(ctx context.Context) error { return a.end(ctx, syscall.SIGINT) }

// Terminate is Stop with SIGTERM, as systemd does.
func (a *Agent) Terminate(ctx context.Context) error { return a.end(ctx, syscall.SIGTERM) }

// Kill kills the agent's process, and no other, with SIGKILL.
func (a *Agent) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return a.end(ctx, syscall.SIGKILL)
}

// Restart stops the agent and starts it again on the same data.
func (a *Agent) Restart(ctx context.Context) error {
	if err := a.Stop(ctx); err != nil {
		return err
	}
	return a.Start(ctx)
}

func (a *Agent) end(ctx context.Context, sig syscall.Signal) error {
	if !a.Running() {
		return nil
	}
	if err := a.process.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end agent: %w", err)
	}
	select {
	case <-a.process.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("agent does not end on %s: %w\nend of its log:\n%s", sig, ctx.Err(), a.LogTail(3000))
	}
}

// waitReady waits for what the agent's role needs.
func (a *Agent) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-a.process.done:
			cancel(fmt.Errorf("the agent has ended: %w", a.process.err))
		case <-ctx.Done():
		}
	}()
	if a.Config.Role != ClientOnly {
		if err := Poll(ctx, "the server", a.serverReady); err != nil {
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
	if a.Config.Role != ServerOnly {
		if err := Poll(ctx, "the client", a.clientReady); err != nil {
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
	return nil
}

// serverReady tells whether the server can take clients: it leads, and has the
// keys that it signs their identities with.
func (a *Agent) serverReady() (bool, string, error) {
	leader, err := a.Local.Status().Leader()
	if err != nil || leader == "" {
		return false, fmt.Sprintf("leader %q, error %v", leader, err), nil
	}
	var jwks struct{ Keys []any }
	if _, err := a.Local.Raw().Query("/.well-known/jwks.json", &jwks, nil); err != nil {
		return false, err.Error(), nil
	}
	return len(jwks.Keys) > 0, "no signing key", nil
}

// clientReady tells whether the client has joined in this run. The server still
// knows a restarted client as ready, so the client itself is asked.
func (a *Agent) clientReady() (bool, string, error) {
	self, err := a.Local.Agent().Self()
	if err != nil {
		return false, err.Error(), nil
	}
	stats := self.Stats["client"]
	// Nomad prints the age of the last heartbeat; before the first, centuries.
	age, err := time.ParseDuration(stats["last_heartbeat"])
	if err != nil || age > time.Since(a.process.since) {
		return false, fmt.Sprintf("last heartbeat %q ago", stats["last_heartbeat"]), nil
	}
	a.nodeID = stats["node_id"]
	node, _, err := a.API.Nodes().Info(a.nodeID, nil)
	if err != nil {
		return false, err.Error(), nil
	}
	if node.Status != api.NodeStatusReady {
		return false, "node is " + node.Status, nil
	}
	if !healthy(node, "raw_exec") {
		return false, "raw_exec is not healthy", nil
	}
	if d := node.Drivers[DriverName]; a.Config.Plugin != "" && (d == nil || !d.Detected) {
		return false, fmt.Sprintf("driver %s: %+v", DriverName, d), nil
	}
	return true, "", nil
}

func healthy(node *api.Node, driver string) bool {
	d := node.Drivers[driver]
	return d != nil && d.Detected && d.Healthy
}

// Node returns the client's node as the servers know it.
func (a *Agent) Node() (*api.Node, error) {
	node, _, err := a.API.Nodes().Info(a.nodeID, nil)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", a.nodeID, err)
	}
	return node, nil
}

// WaitDriverHealthy waits until the client reports the driver as healthy.
func (a *Agent) WaitDriverHealthy(ctx context.Context, driver string) error {
	return Poll(ctx, "driver "+driver+" to be healthy", func() (bool, string, error) {
		node, err := a.Node()
		if err != nil {
			return false, "", err
		}
		return healthy(node, driver), fmt.Sprintf("%+v", node.Drivers[driver]), nil
	})
}

// LogPath is the agent's log, of all its runs.
func (a *Agent) LogPath() string { return a.Path("agent.log") }

// LogTail returns the last bytes of the agent's log.
func (a *Agent) LogTail(bytes int64) string {
	f, err := os.Open(a.LogPath())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > bytes {
		if _, err := f.Seek(-bytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	tail, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(tail)
}
