// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
)

// servedSite is a site with a second work root, on a file server that can hang.
// Nothing here must look into it while it hangs; /proc tells of processes there.
type servedSite struct {
	*site
	server *hangfs.Mount
}

func newServedSite(t *testing.T, config string, adjust ...func(*cluster.Config)) *servedSite {
	t.Helper()
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	t.Parallel()
	s := &servedSite{site: &site{t: t, scratch: worldReadable(t)}}
	dir := worldReadable(t)
	backing, path := filepath.Join(dir, "disk"), filepath.Join(dir, "served")
	must.NoError(t, os.Mkdir(backing, 0o755))
	must.NoError(t, os.Mkdir(path, 0o755))
	var err error
	s.server, err = hangfs.New(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() {
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
	})
	s.roots = []string{path}
	s.begin(config, adjust...)
	t.Cleanup(func() { // before the agent is ended
		end := s.server.Resume
		if t.Failed() { // what waits then may do so for a reason that Resume does not end
			end = s.server.Close
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// served makes a run folder on the file server.
func (s *servedSite) served(name string) string {
	s.t.Helper()
	return s.deckBelow(s.server.Path, name, "solid_bar_impact")
}

func (s *servedSite) hang() {
	s.t.Helper()
	must.NoError(s.t, s.server.Hang())
}

func (s *servedSite) resume() {
	s.t.Helper()
	must.NoError(s.t, s.server.Resume())
}

// runsBeside runs another task, whose folder does not hang, from its start to
// its end on so many cores.
func (s *servedSite) runsBeside(name string, cores int) {
	s.t.Helper()
	r := s.submit(jobHCL{name: name, folder: s.shortDeck(name), config: fmt.Sprintf("ncpu = %d", cores)})
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Allocated core"),
		cluster.TaskEvent("lsdyna", fmt.Sprintf("(%d core", cores)), cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
}

// askToStop has Nomad stop the run's job, and does not wait.
func (r *run) askToStop() {
	r.s.t.Helper()
	_, _, err := r.s.API.Jobs().Deregister(r.job, false, nil)
	must.NoError(r.s.t, err)
}

// stopBegun waits until the driver has recorded that the run is to stop.
func (r *run) stopBegun() {
	r.s.t.Helper()
	record := filepath.Join(filepath.Dir(r.pidPath()), "stop.json")
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "the stop of "+r.job, func() (bool, string, error) {
		_, err := os.Stat(record)
		return err == nil, fmt.Sprint(err), nil
	}))
}

// completes waits for the run's end: the solver that was started ran to the end
// time, and Nomad heard so.
func (r *run) completes() {
	r.s.t.Helper()
	alloc := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	must.Zero(r.s.t, alloc.TaskStates["lsdyna"].Restarts)
	code, signal, err := cluster.Exit(alloc, "lsdyna")
	must.NoError(r.s.t, err)
	must.Zero(r.s.t, code)
	must.Zero(r.s.t, signal)
}

// backWithin is how long the driver may take to be healthy again after a restart
// of the client.
func backWithin() time.Duration {
	if inVM() {
		return stepTimeout
	}
	return 20 * time.Second
}

// comesBack starts the client and waits until it says anew that the driver is
// healthy.
func (s *servedSite) comesBack() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), backWithin())
	defer cancel()
	began := time.Now()
	must.NoError(s.t, s.Start(ctx))
	must.NoError(s.t, cluster.Poll(ctx, "a healthy driver", func() (bool, string, error) {
		node, err := s.Node()
		if err != nil {
			return false, err.Error(), nil
		}
		d := node.Drivers[cluster.DriverName]
		return d != nil && d.Detected && d.Healthy && d.UpdateTime.After(began), fmt.Sprintf("%+v", d), nil
	}))
	s.t.Logf("healthy after %s", time.Since(began).Round(time.Millisecond))
}

// Environments of runs that look for switches many times a second, and so hang with
// their folder: for the whole deck, and for a short one.
const (
	looking = "STANDIN_PACE = \"5ms\"\nSTANDIN_POLL = \"5\""
	brief   = "STANDIN_PACE = \"60ms\"\nSTANDIN_POLL = \"1\""
)

// A run folder that hangs holds up its own run, and nothing else.
func TestDriver_HungFolderHoldsUpNobodyElse(t *testing.T) {
	// Nomad 1.11 collects a task's statistics only where it publishes them.
	s := newServedSite(t, "", func(c *cluster.Config) { c.HCL = "telemetry {\n  publish_allocation_metrics = true\n}\n" })
	away := s.start(jobHCL{name: "away", folder: s.served("away"), config: "ncpu = 1", env: looking})
	late := jobHCL{name: "late", folder: s.served("late"), config: "ncpu = 1"}
	s.waitCycles(away)
	pid, cores := away.pidFile().PID, away.checkCores()
	s.hang()

	t.Run("another task runs", func(*testing.T) { s.runsBeside("beside", 1) })
	t.Run("the driver answers", func(t *testing.T) { s.answers(t, away) })
	t.Run("a start in the folder holds up no other", func(*testing.T) {
		r := s.submit(late)
		s.runsBeside("beside-late", 1)
		r.askToStop()
	})
	for _, c := range []struct {
		name           string
		kill, comeBack func()
	}{
		{"the plugin is killed", s.killPlugin, func() {}},
		{"the client is killed", func() { must.NoError(t, s.Kill()) }, s.comesBack},
		{"both are killed", s.killBoth, s.comesBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.kill()
			c.comeBack()
			s.runsBeside(strings.ReplaceAll("after "+c.name, " ", "-"), 1)
			must.Eq(t, pid, away.pidFile().PID)
			must.Eq(t, cores, away.checkCores())
		})
	}

	s.resume()
	away.completes()
}

// answers asks the driver, and what reads its records, about a run whose folder
// hangs.
func (s *servedSite) answers(t *testing.T, r *run) {
	alloc := r.wait(api.AllocClientStatusRunning)
	must.NoError(t, s.WaitDriverHealthy(within(t), cluster.DriverName))
	must.NoError(t, cluster.Poll(within(t), "statistics", func() (bool, string, error) {
		stats, err := s.API.Allocations().Stats(alloc, nil)
		if err != nil {
			return false, err.Error(), nil
		}
		use := stats.Tasks["lsdyna"]
		return use != nil && use.ResourceUsage != nil && len(use.Pids) == 1 && time.Since(time.Unix(0, use.Timestamp)) < stepTimeout, fmt.Sprintf("%+v", use), nil
	}))
	for _, command := range []string{"status", "metrics"} {
		out, err := exec.CommandContext(within(t), s.PluginPath(), command, "-state-dir", s.StateDir()).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		must.StrContains(t, string(out), r.job)
		if command == "status" {
			must.StrContains(t, string(out), "does not answer")
		}
	}
}

// A folder that hung for a while costs nothing of what the run has done.
func TestDriver_HungFolderComesBack(t *testing.T) {
	cores := twoCores(t)
	s := newServedSite(t, fmt.Sprintf("cores { usable = %q }", cores))

	t.Run("the run ended while nobody watched", func(t *testing.T) {
		r := s.start(jobHCL{name: "unwatched", folder: s.servedShort("unwatched"), config: "ncpu = 1", env: brief})
		s.killBoth()
		must.Zero(t, r.waitExit().Code)
		s.hang()
		s.comesBack()
		s.runsBeside("beside-unwatched", 2)
		s.resume()
		r.completes()
	})
	t.Run("the run ended before the driver had read its last words", func(t *testing.T) {
		r := s.start(jobHCL{name: "unread", folder: s.servedShort("unread"), config: "ncpu = 1", env: brief})
		plugins, err := s.Plugins()
		must.NoError(t, err)
		must.Len(t, 1, plugins)
		must.NoError(t, cluster.Signal(plugins[0], syscall.SIGSTOP))
		exit := r.waitExit()
		s.hang()
		must.NoError(t, cluster.Signal(plugins[0], syscall.SIGCONT))
		must.Zero(t, exit.Code)
		s.runsBeside("beside-unread", 2)
		s.resume()
		r.completes()
	})
	for _, c := range []struct {
		name    string
		restart func()
	}{
		{"plugin", s.killPlugin},
		{"both", func() { s.killBoth(); s.comesBack() }},
	} {
		t.Run("a stop after a restart of "+c.name, func(*testing.T) {
			r := s.runs("back-" + c.name)
			s.hang()
			c.restart()
			s.resume()
			r.askToStop()
			r.stopsWithADump()
		})
		t.Run("a stop meanwhile, after a restart of "+c.name, func(*testing.T) {
			r := s.runs("away-" + c.name)
			s.hang()
			c.restart()
			r.askToStop()
			r.stopBegun()
			s.resume()
			r.stopsWithADump()
		})
	}
}

// servedShort is a folder for a short run on the file server.
func (s *servedSite) servedShort(name string) string {
	s.t.Helper()
	folder := s.served(name)
	s.shorten(folder)
	return folder
}

// runs is a run on the file server that computes.
func (s *servedSite) runs(name string) *run {
	s.t.Helper()
	r := s.start(jobHCL{name: name, folder: s.served(name), config: "ncpu = 1", env: looking})
	s.waitCycles(r)
	return r
}

// stopsWithADump waits for the end of a run that is being stopped.
func (r *run) stopsWithADump() {
	r.s.t.Helper()
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(r.s.t, 0, r.solvers())
	_, err := os.Stat(filepath.Join(r.folder, "d3dump01"))
	must.NoError(r.s.t, err)
	_, err = os.Stat(filepath.Join(r.folder, "d3kil"))
	must.ErrorIs(r.s.t, err, os.ErrNotExist)
}

// A plugin of which a thread waits in a request that its file server has read does not
// end when it is killed, and keeps its lock. Another one takes its place all the same,
// once Nomad launches one: to Nomad 1.11 the plugin is there as long as its process is,
// and a client that starts waits for it as long as its socket is (TROUBLESHOOT.md).
func TestDriver_PluginThatCannotEndHoldsUpNobody(t *testing.T) {
	s := newServedSite(t, "")
	away := s.start(jobHCL{name: "away", folder: s.served("away"), config: "ncpu = 1", env: looking})
	s.waitCycles(away)
	pid, cores := away.pidFile().PID, away.checkCores()
	plugins, err := s.Plugins()
	must.NoError(t, err)
	must.Len(t, 1, plugins)
	dying := plugins[0]
	must.NoError(t, s.server.HangWith(dying.PID))

	began := time.Now()
	must.NoError(t, s.Kill())
	must.NoError(t, cluster.Signal(dying, syscall.SIGKILL))
	s.removePluginSocket()
	s.comesBack()
	s.runsBeside("beside", 1)
	t.Logf("another task ran %s after the kill", time.Since(began).Round(time.Millisecond))
	_, err = os.Stat(fmt.Sprintf("/proc/%d", dying.PID))
	must.NoError(t, err, must.Sprint("the plugin has ended: nothing was shown"))
	must.Eq(t, pid, away.pidFile().PID)
	must.Eq(t, cores, away.checkCores())

	s.resume()
	away.completes()
}

// removePluginSocket removes the socket of the plugin that was launched last.
func (s *servedSite) removePluginSocket() {
	s.t.Helper()
	log, err := os.ReadFile(s.LogPath())
	must.NoError(s.t, err)
	said := pluginSocket.FindAllSubmatch(log, -1)
	must.SliceNotEmpty(s.t, said)
	must.NoError(s.t, os.Remove(string(said[len(said)-1][1])))
}

// pluginSocket finds the addresses of our plugins in an agent's log, in which what follows
// the message has no order.
var pluginSocket = regexp.MustCompile(`nomad-driver-lsdyna: plugin address: (?:.* )?address=(\S+)`)

// An output that cannot be read for good hides no outcome that stdout tells.
func TestDriver_OutputOnABadDiskHidesNoOutcome(t *testing.T) {
	s := newServedSite(t, "")
	r := s.start(jobHCL{name: "bad", folder: s.servedShort("bad"), config: "ncpu = 1", env: brief})
	messag := filepath.Join(s.server.Backing, "bad", "messag")
	must.NoError(t, cluster.Poll(within(t), "messag", func() (bool, string, error) {
		_, err := os.Stat(messag)
		return err == nil, fmt.Sprint(err), nil
	}))
	must.NoError(t, os.Chmod(messag, 0o644|os.ModeSticky))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "stdout tells the outcome"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
}
