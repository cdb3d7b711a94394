// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package cluster runs real Nomad agents for tests and for the demo: each on
// loopback ports of its own, with its own directories and, as root on cgroups v1,
// with its own view of the cgroup tree, so that several fit on one machine. It
// starts them, kills them, starts them again on the same data, and in the end
// removes every process, cgroup and file it caused.
//
// The agents are never `-dev`: a dev agent destroys its allocations when it
// stops, and nothing could be recovered.
//
// What it signals are processes it started, or their descendants, by pid.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// PluginName is the name of the driver's binary, and so of its plugin stanza.
const PluginName = "nomad-driver-lsdyna"

// DriverName is what job files call the driver.
const DriverName = "lsdyna"

// Role is what an agent does in its cluster.
type Role int

const (
	// ServerAndClient is a cluster of one agent. It takes Nomad 20 to 30 s to start:
	// the client's first calls come before the server can answer, and are only
	// repeated after a client.registerRetryIntv or getAllocRetryIntv. A ClientOnly
	// agent beside a ServerOnly one is there in 2 s.
	ServerAndClient Role = iota
	// ServerOnly schedules and runs nothing.
	ServerOnly
	// ClientOnly runs tasks for the server in Config.Server.
	ClientOnly
)

// Config says which agent to run. Only Nomad is needed.
type Config struct {
	Nomad  string // path of the nomad binary
	Role   Role   // default ServerAndClient
	Server *Agent // ClientOnly: its server

	Plugin       string // path of the driver's binary, "" for an agent without it
	PluginConfig string // HCL between the braces of the plugin's config block
	StateDir     string // its state_dir, "" for one in the agent's directory; it survives Close

	// ReservableCores is the cpuset list of cores that Nomad may use, "" for all.
	ReservableCores string

	// UID, where not 0, is the user (and group) that the agent runs as.
	UID int

	// SharedCgroups leaves the agent in the machine's cgroup tree, as in production,
	// where it would get its own view. Only one such client may run at a time.
	SharedCgroups bool

	// Binds are mounts that only the agent and its tasks see. They need a cgroup view,
	// whose namespaces they are in: root, and not SharedCgroups.
	Binds []Bind

	// Address is where the agent listens and what it advertises, "" for loopback or for
	// that of Network.
	Address string

	// Network, where not nil, gives the agent and its tasks a network namespace and a
	// host name of their own. It needs a cgroup view.
	Network *Network

	// Parent is where the agent's directory is made, "" for the system's temporary
	// directory. Keep it short: Nomad puts Unix sockets (107 bytes) far below it.
	Parent string

	// Dir, where not "", is the agent's directory itself and survives Close, for
	// agents that are to be found again after a reboot of the machine.
	Dir string

	// HCL is further agent configuration; blocks of it merge into the harness's.
	HCL string

	// Env is added to the agent's environment, as KEY=VALUE.
	Env []string
}

// A Bind shows a file or folder at the place of another one.
type Bind struct{ From, At string }

// Agent is one Nomad agent on its own data, running or not.
type Agent struct {
	// Config may be changed while the agent is down; Start writes it out anew.
	Config Config
	// API talks to the cluster: to the server of a ClientOnly agent, which answers
	// also while the client is down, else to the agent itself.
	API *api.Client
	// Local talks to the agent itself.
	Local *api.Client

	dir     string // everything the agent writes, without symlinks
	keepDir bool
	ports   ports
	cgroups *cgroupView // nil: the machine's own tree
	slices  []string    // cgroups in that tree which are there because of the agent
	process *process    // nil before the first Start
	nodeID  string
}

// New makes the agent's directory, ports and cgroup view. Call Close in any case
// where New succeeded; Start runs the agent.
func New(cfg Config) (_ *Agent, err error) {
	if (cfg.Role == ClientOnly) != (cfg.Server != nil) {
		return nil, errors.New("a client-only agent, and no other, needs a server")
	}
	if _, err := os.Stat(cfg.Nomad); err != nil {
		return nil, fmt.Errorf("nomad binary (run `make bin/nomad`): %w", err)
	}
	a := &Agent{Config: cfg, keepDir: cfg.Dir != ""}
	if a.dir, err = makeDir(cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = a.removeDir()
		}
	}()
	if a.ports, err = portsIn(a.Path("config", "ports.json")); err != nil {
		return nil, err
	}
	if cfg.Plugin != "" {
		if _, err := a.InstallBinary(cfg.Plugin, filepath.Join("plugins", PluginName)); err != nil {
			return nil, err
		}
	}
	if a.Local, err = api.NewClient(&api.Config{Address: "http://" + a.HTTPAddr()}); err != nil {
		return nil, fmt.Errorf("api client: %w", err)
	}
	a.API = a.Local
	if cfg.Server != nil {
		a.API = cfg.Server.API
	}
	if !cfg.SharedCgroups && cfg.UID == 0 && cfg.Role != ServerOnly {
		if a.cgroups, err = newCgroupView(filepath.Base(a.dir), cfg.Binds, cfg.Network); err != nil {
			return nil, err
		}
	}
	if a.cgroups == nil && (len(cfg.Binds) > 0 || cfg.Network != nil) {
		return nil, errors.New("without a cgroup view there is no place for binds and no network")
	}
	if a.cgroups == nil {
		a.slices = missing(nomadCgroups)
	}
	return a, nil
}

// makeDir makes the agent's directory tree. Tasks run as other users, who must
// be able to walk through it.
func makeDir(cfg Config) (string, error) {
	dir := cfg.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(cfg.Parent, "lsd-"); err != nil {
			return "", fmt.Errorf("agent directory: %w", err)
		}
	}
	// /proc names binaries by their real path.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("agent directory: %w", err)
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("agent directory: %w", err)
	}
	for _, d := range []string{".", "data", "plugins", "bin", "config"} {
		d = filepath.Join(dir, d)
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", fmt.Errorf("agent directory: %w", err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			return "", fmt.Errorf("agent directory: %w", err)
		}
		if err := os.Lchown(d, cfg.owner(), cfg.owner()); err != nil {
			return "", fmt.Errorf("agent directory for user %d: %w", cfg.UID, err)
		}
	}
	return dir, nil
}

// owner is the user that the agent's directories belong to, -1 for ourselves.
func (c Config) owner() int {
	if c.UID == 0 {
		return -1
	}
	return c.UID
}

// Path returns a path below the agent's directory.
func (a *Agent) Path(elem ...string) string {
	return filepath.Join(append([]string{a.dir}, elem...)...)
}

// HTTPAddr is the host:port of the agent's HTTP API.
func (a *Agent) HTTPAddr() string { return fmt.Sprintf("%s:%d", a.Config.address(), a.ports.HTTP) }

// rpcAddr is the host:port where the agent serves clients.
func (a *Agent) rpcAddr() string { return fmt.Sprintf("%s:%d", a.Config.address(), a.ports.RPC) }

// NodeID is the client's node id, known once Start has succeeded.
func (a *Agent) NodeID() string { return a.nodeID }

// PluginPath is the agent's own copy of the driver's binary: the exe of its
// plugin process and supervisors, and of nobody else's.
func (a *Agent) PluginPath() string { return a.Path("plugins", PluginName) }

// StateDir is where the agent's plugin is to keep its records, for PluginConfig.
func (a *Agent) StateDir() string { return cmp.Or(a.Config.StateDir, a.Path("state")) }

// CgroupPath returns where the test finds what the agent and its tasks call a
// path below /sys/fs/cgroup.
func (a *Agent) CgroupPath(path string) string {
	if a.cgroups == nil {
		return path
	}
	return a.cgroups.outside(path)
}

// InstallBinary copies a binary to a path below the agent's directory, so that
// its processes can be told from everybody else's, and returns the full path. It
// replaces by rename: a running binary cannot be written (ETXTBSY).
func (a *Agent) InstallBinary(src, dst string) (string, error) {
	dst = a.Path(dst)
	data, err := os.ReadFile(src)
	if err != nil {
		return "", fmt.Errorf("install binary: %w", err)
	}
	tmp := dst + ".new"
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return "", fmt.Errorf("install binary: %w", err)
	}
	if err := os.WriteFile(tmp, data, 0o755); err != nil {
		return "", fmt.Errorf("install binary: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("install binary: %w", err)
	}
	if err := os.Rename(tmp, dst); err != nil {
		return "", fmt.Errorf("install binary: %w", err)
	}
	return dst, nil
}

// closeTimeout bounds each step of Close, also in a busy emulated machine.
const closeTimeout = 2 * time.Minute

// Close stops the jobs, then the agent, then removes what they left. Its error
// names each process that outlived its job and its agent: those are ended too.
func (a *Agent) Close() error {
	var errs []error
	if a.Running() {
		if a.Config.Role != ServerOnly {
			errs = append(errs, a.within(closeTimeout, a.stopAllJobs))
		}
		errs = append(errs, a.within(closeTimeout, a.Stop))
	}
	left, err := a.leftovers(5 * time.Second)
	errs = append(errs, err)
	for _, p := range left {
		errs = append(errs, fmt.Errorf("left behind: %s", p))
	}
	errs = append(errs, a.cleanUp())
	return errors.Join(errs...)
}

// PowerOff kills the agent and every process below it at once, as a power cut
// would, and leaves the files as they are.
func (a *Agent) PowerOff() error {
	errs := []error{a.Kill()}
	errs = append(errs, a.killAll())
	return errors.Join(errs...)
}

// Discard is Close for an agent that PowerOff or Kill has ended on purpose: what
// still runs is no error.
func (a *Agent) Discard() error {
	return errors.Join(a.PowerOff(), a.cleanUp())
}

func (a *Agent) cleanUp() error {
	errs := []error{a.killAll()}
	if a.cgroups != nil {
		errs = append(errs, a.cgroups.remove())
		a.cgroups = nil
	}
	for _, cgroup := range a.slices {
		errs = append(errs, removeTree(cgroup))
	}
	if !a.keepDir {
		errs = append(errs, a.removeDir())
	}
	return errors.Join(errs...)
}

// nomadCgroups is where Nomad keeps its tasks on cgroups v2 and v1.
var nomadCgroups = []string{
	"/sys/fs/cgroup/nomad.slice",
	"/sys/fs/cgroup/cpuset/nomad", "/sys/fs/cgroup/memory/nomad", "/sys/fs/cgroup/cpu/nomad", "/sys/fs/cgroup/freezer/nomad",
	"/sys/fs/cgroup/pids/nomad", // the driver's
}

// missing returns those of the paths that are not there yet.
func missing(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), exists)
}

// removeDir removes the agent's directory, and first the tmpfs mounts that Nomad
// makes in it where the agent had no mount namespace of its own.
func (a *Agent) removeDir() error {
	if err := unmountBelow(a.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(a.dir); err != nil {
		return fmt.Errorf("remove agent directory: %w", err)
	}
	return nil
}

func (a *Agent) within(d time.Duration, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return step(ctx)
}

// isStranger tells of a process in the agent's directory, or with its name in the
// environment, that somebody has started who looks at what the agent does: his shell, his
// editor. It is in another mount namespace than the agent's, or where the agent has none of
// its own, at a terminal of which the agent knows nothing.
func (a *Agent) isStranger(p proc.Process) bool {
	if a.cgroups == nil {
		us, err := proc.Read(os.Getpid())
		return err == nil && p.Terminal != 0 && p.Session != us.Session
	}
	ours, err := proc.Mounts(a.cgroups.holder.Process.Pid)
	if err != nil {
		return false
	}
	its, err := proc.Mounts(p.PID)
	return err == nil && its != ours
}

// Processes returns every living process that the agent caused, itself included.
func (a *Agent) Processes() ([]proc.Process, error) {
	below := a.dir + string(filepath.Separator)
	found, err := proc.Select(func(p proc.Process) bool {
		return strings.HasPrefix(p.Exe, below) || a.IsSupervisor(p) ||
			(strings.HasPrefix(p.Cwd+"/", below) || proc.EnvMentions(p.PID, below)) && !a.isStranger(p)
	})
	if err != nil || a.cgroups == nil {
		return found, err
	}
	seen := map[int]bool{a.cgroups.holder.Process.Pid: true}
	for _, p := range found {
		seen[p.PID] = true
	}
	inCgroup, err := a.cgroups.processes()
	if err != nil {
		return nil, err
	}
	for _, p := range inCgroup {
		if p.Alive() && !seen[p.PID] {
			found = append(found, p)
		}
	}
	return found, nil
}
