// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// stateSize is that of the file system that state_dir is on, in bytes: small, to
// be filled quickly.
const stateSize = 4 << 20

// mppName is the stand-in's, beside the other one, where it has ranks.
const mppName = "standin_mpp_d_R14"

// A campaign is a server, a client with the driver, jobs that come and go, and
// the checker.
type campaign struct {
	options
	dir            string // scratch and state_dir
	scratch, state string
	server, client *cluster.Agent
	second         *secondClient
	solver, mpirun string
	usable         []int // CPUs that tasks may have: those that this process may run on
	witness        *witness.Witness
	observer       *check.Observer
	innocents      []*exec.Cmd
	folders        map[string]string // by job, where they can always be read
	jobs           []*job            // not known to be over, oldest first
	left           []string          // run folders of jobs that are over, oldest first
	started        int               // jobs so far
	touched        map[string]bool   // "alloc pid" of solvers whose records this step has changed
	spoiled        map[string]bool   // "alloc pid" of solvers whose records were removed
	killed         map[string]bool   // likewise, of solvers that were killed
	stopped        map[string]bool   // allocations whose jobs were stopped
	world          *check.World      // as it had last settled
	mounted        bool
	served         *hangfs.Mount   // some run folders' file server, nil without FUSE
	hangs          bool            // it does at the moment
	slipped        bool            // state_dir cannot be used at the moment
	removed        map[string]bool // jobs whose folders were removed under their solvers
	blocks         blocks          // of Nomad
}

// newCampaign starts everything. Close the campaign also beside an error.
func newCampaign(ctx context.Context, o options) (c *campaign, err error) {
	c = &campaign{options: o, second: &secondClient{}, folders: map[string]string{}, spoiled: map[string]bool{}, killed: map[string]bool{}, stopped: map[string]bool{}, removed: map[string]bool{}}
	if c.dir, err = os.MkdirTemp("", "faults-"); err != nil {
		return c, fmt.Errorf("campaign directory: %w", err)
	}
	if c.dir, err = filepath.EvalSymlinks(c.dir); err != nil {
		return c, fmt.Errorf("campaign directory: %w", err)
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return c, fmt.Errorf("campaign directory: %w", err)
	}
	c.scratch, c.state = filepath.Join(c.dir, "runs"), filepath.Join(c.dir, "state")
	c.second = &secondClient{state: filepath.Join(c.dir, "state-2"), alias: filepath.Join(c.dir, "alias")}
	for dir, mode := range map[string]os.FileMode{c.scratch: 0o755, c.state: 0o700, c.second.state: 0o700, c.second.alias: 0o755} {
		if err := os.Mkdir(dir, mode); err != nil {
			return c, fmt.Errorf("campaign directory: %w", err)
		}
	}
	// Before the client gets its own view of mounts, which then has this one too.
	if err := unix.Mount("faults", c.state, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", stateSize)); err != nil {
		return c, fmt.Errorf("mount a small file system for state_dir: %w", err)
	}
	c.mounted = true
	if err := c.second.mountAlias(c.scratch); err != nil {
		return c, err
	}
	if err := c.mountServed(); err != nil {
		return c, err
	}
	if c.usable, err = ownCPUs(); err != nil {
		return c, err
	}
	if err := c.startAgents(ctx); err != nil {
		return c, err
	}
	if err := c.watch(); err != nil {
		return c, err
	}
	return c, c.startInnocents()
}

func (c *campaign) startAgents(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	nomad, err := cluster.NomadPath(c.bin)
	if err != nil {
		return err
	}
	if c.server, err = cluster.New(cluster.Config{Nomad: nomad, Role: cluster.ServerOnly}); err != nil {
		return err
	}
	if err := c.server.Start(ctx); err != nil {
		return err
	}
	c.client, err = cluster.New(cluster.Config{
		Nomad: nomad, Role: cluster.ClientOnly, Server: c.server, Plugin: filepath.Join(c.bin, cluster.PluginName),
		ReservableCores: list(c.usable),
	})
	if err != nil {
		return err
	}
	if c.solver, err = c.client.InstallBinary(filepath.Join(c.bin, "lsdyna-standin"), "bin/standin_smp_d_R14"); err != nil {
		return err
	}
	// The stand-in goes by its name: as "smp", each rank would be a run of its own.
	if _, err := c.client.InstallBinary(filepath.Join(c.bin, "lsdyna-standin"), "bin/"+mppName); err != nil {
		return err
	}
	c.client.Config.PluginConfig = c.pluginConfig(c.usable)
	if err := c.client.Start(ctx); err != nil {
		return err
	}
	if err := c.client.WaitDriverHealthy(ctx, cluster.DriverName); err != nil {
		return err
	}
	return c.startSecond(ctx)
}

// pluginConfig is the plugin's, with the cores that it may give out.
func (c *campaign) pluginConfig(usable []int) string {
	roots := c.scratch
	if c.served != nil {
		roots = c.served.Path + `", "` + roots // what hangs first
	}
	hcl := fmt.Sprintf(`
    state_dir  = %q
    work_roots = ["%s"]
    cores {
      smt    = "share"
      usable = %q
    }
    solver "standin" {
      path = %q
    }`, c.state, roots, list(usable), c.solver)
	if path, err := exec.LookPath("mpirun"); err == nil {
		if program, err := filepath.EvalSymlinks(path); err == nil {
			c.mpirun = program
			hcl += fmt.Sprintf(`
    solver "mpp" {
      path     = %q
      parallel = "mpp"
      mpi      = "openmpi"
      mpirun   = %q
    }`, filepath.Join(filepath.Dir(c.solver), mppName), path)
		}
	}
	return hcl
}

// watch sets the checker up.
func (c *campaign) watch() (err error) {
	site := check.Site{
		API: c.client.API, Plugin: c.client.PluginPath(), Solvers: []string{c.solver}, StateDir: c.state,
		Folder: func(job string) string { return c.folders[job] }, Usable: c.usable,
		Node: c.client.NodeID(), Elsewhere: c.second.solver,
	}
	if c.mpirun != "" {
		site.Solvers = append(site.Solvers, c.mpirun)
	}
	for _, dir := range []string{"freezer/nomad", "cpuset/nomad/reserve", "nomad.slice/share.slice", "nomad.slice/reserve.slice"} {
		site.Cgroups = append(site.Cgroups, c.client.CgroupPath("/sys/fs/cgroup/"+dir))
	}
	if c.witness, err = witness.New(site.Matters); err != nil {
		return err
	}
	c.observer = &check.Observer{
		Site: site, Witness: c.witness,
		Spoiled: func(alloc string, pid int) bool { return c.spoiled[fmt.Sprint(alloc, " ", pid)] },
		Killed:  func(alloc string, pid int) bool { return c.killed[fmt.Sprint(alloc, " ", pid)] || c.stopped[alloc] },
	}
	return nil
}

// ownCPUs returns the CPUs that this process may run on. Agents get all there
// are: a process that is moved to another cgroup forgets its affinity.
func ownCPUs() (cpus []int, err error) {
	var mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mask); err != nil {
		return nil, fmt.Errorf("cores of this machine: %w", err)
	}
	for cpu := range len(mask) * 64 {
		if mask.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// list prints CPUs as configurations have them.
func list(cpus []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(cpus)), ","), "[]")
}

// startInnocents starts processes that nobody must touch.
func (c *campaign) startInnocents() error {
	for range 3 {
		cmd := exec.Command("sleep", "100000")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start an innocent process: %w", err)
		}
		c.innocents = append(c.innocents, cmd)
		c.observer.AddInnocent(cmd.Process.Pid)
	}
	return nil
}

// run injects one fault after the other.
func (c *campaign) run(ctx context.Context) error {
	faults, err := c.possible()
	if err != nil {
		return err
	}
	began := time.Now()
	fmt.Printf("seed %d, %d faults, cores %v, the file server's clock ahead by %s, in %s\n", c.seed, c.steps, c.observer.Site.Usable, c.skew(), c.dir)
	if _, err := c.settle(ctx, nil); err != nil {
		return err
	}
	done := 0
	for ; done < c.steps && !c.isEnough(); done++ {
		n := done + 1
		rng := rand.New(rand.NewPCG(c.seed, uint64(n)))
		if err := c.step(ctx, n, pick(faults, rng), rng); err != nil {
			return fmt.Errorf("step %d of seed %d: %w", n, c.seed, err)
		}
	}
	if err := c.finale(ctx); err != nil {
		return fmt.Errorf("after the last step of seed %d: %w", c.seed, err)
	}
	fmt.Print(c.blocks.line())
	fmt.Println(report{done, c.started}.line(time.Since(began), ""))
	return nil
}

func (c *campaign) isEnough() bool {
	select {
	case <-c.enough:
		return true
	default:
		return false
	}
}

// step makes sure that there is something to harm, harms it, and checks.
func (c *campaign) step(ctx context.Context, n int, f fault, rng *rand.Rand) error {
	began := time.Now()
	c.touched = map[string]bool{}
	fmt.Printf("%4d %-22s ", n, f.name)
	fresh, err := c.topUp(ctx)
	if err != nil {
		fmt.Println()
		return err
	}
	what, err := f.inject(ctx, c, rng)
	fmt.Printf("%s ", what)
	if err != nil {
		fmt.Println()
		return fmt.Errorf("%s: %w", f.name, err)
	}
	seen, err := c.settle(ctx, fresh)
	fmt.Printf("· %s · %.1fs\n", seen, time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("%s (%s): %w", f.name, what, err)
	}
	if err := c.unblockIfStuck(ctx, fresh); err != nil {
		return err
	}
	return c.collect(n)
}

// finale stops every job: nothing may be left then, and every core be free.
func (c *campaign) finale(ctx context.Context) error {
	for _, j := range c.jobs {
		if err := c.stop(j); err != nil {
			return err
		}
	}
	seen, err := c.settle(ctx, nil)
	if err != nil {
		return err
	}
	fmt.Printf("     end · %s\n", seen)
	if free := c.world.Free(); !slices.Equal(free, c.world.Usable) {
		return fmt.Errorf("every job is stopped, and only cores %v of %v are free", free, c.world.Usable)
	}
	return nil
}

// close ends everything; after a failure it keeps what may explain it.
func (c *campaign) close(failed bool) error {
	failed = failed && !c.quiet
	var errs []error
	if failed {
		c.explain()
	}
	if c.served != nil && (failed || c.hangs) {
		errs = append(errs, c.served.Close()) // nothing waits there any more
	}
	for _, a := range []*cluster.Agent{c.second.client, c.client, c.server} {
		switch {
		case a == nil:
		case failed || c.quiet:
			errs = append(errs, a.Discard())
		default:
			// Nomad's own log collectors may be left by a client that was killed.
			ctx, cancel := context.WithTimeout(context.Background(), c.patience)
			errs = append(errs, a.Stop(ctx), pluginGone(ctx, a), a.Discard())
			cancel()
		}
	}
	if c.witness != nil {
		errs = append(errs, c.witness.Close())
	}
	for _, cmd := range c.innocents {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
	if failed || c.keep {
		errs = append(errs, os.CopyFS(filepath.Join(c.dir, "state-kept"), os.DirFS(c.state)))
	}
	if c.served != nil {
		errs = append(errs, c.served.Close())
	}
	errs = append(errs, c.second.unmountAlias())
	if c.mounted {
		errs = append(errs, unix.Unmount(c.state, unix.MNT_DETACH))
	}
	if c.dir != "" && !failed && !c.keep {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// pluginGone waits until no process of the driver is left: its tasks are all over,
// and its client has ended.
func pluginGone(ctx context.Context, client *cluster.Agent) error {
	return cluster.Poll(ctx, "the end of the driver's last process", func() (bool, string, error) {
		left, err := proc.WithExe(client.PluginPath())
		return len(left) == 0, fmt.Sprint(left), err
	})
}

// explain prints and keeps the agent's log.
func (c *campaign) explain() {
	if c.client == nil {
		return
	}
	log := c.client.LogTail(50 << 20)
	path := filepath.Join(c.dir, "client.log")
	if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
		fmt.Println("keep the log:", err)
	}
	plugin, _ := os.ReadFile(filepath.Join(c.state, "plugin.log"))
	for name, text := range map[string]string{"client.log": log, "plugin.log": string(plugin)} {
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
			return strings.Contains(l, "[TRACE]") || strings.Contains(l, "[DEBUG] http")
		})
		fmt.Printf("--- end of %s\n%s\n", name, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	fmt.Println("--- kept:", c.dir)
}
