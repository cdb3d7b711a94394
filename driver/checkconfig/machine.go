// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/inventory"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// lookAtMachine warns of what the machine lacks of the settings. It makes nothing.
func (c *check) lookAtMachine(ctx context.Context, node *settings.Settings) {
	if !node.Enabled {
		c.warn(c.own(settings.Key{"enabled"}), "enabled = false: the node has no driver %s", c.names.Driver)
	}
	if len(node.Solvers) == 0 && !node.AllowCommand {
		c.warn(c.prefix, "no solver is configured, so the node is unhealthy: add solver \"NAME\" { path = … }")
	}
	things := inventory.Take(ctx, solvercheck.New(os.Stat), node)
	for _, lack := range slices.Concat(things.MissingSolvers(), things.MissingRoots(), things.Others()) {
		c.warn(c.own(lack.Key), "%s", lack.Text)
	}
	for _, s := range node.Solvers {
		if key := (settings.Key{"solver", s.Name, "precision"}); !c.agent.Has(c.own(key)...) {
			c.warn(c.own(key), "solver %q: precision is not written, and double is taken: memory is counted in words of 8 bytes", s.Name)
		}
	}
	c.lookAtCores(node)
	c.lookAtStateDir(node.StateDir)
	if !c.bare {
		c.lookAtPluginDir()
		c.lookAtDataDir()
	}
}

// lookAtCores compares cores.usable with the CPUs that are online.
func (c *check) lookAtCores(node *settings.Settings) {
	usable := c.own(settings.Key{"cores", "usable"})
	cores, err := placement.New(placement.Settings{Options: node.Allocator, Usable: node.Usable, Memory: node.Memory}, hclog.NewNullLogger())
	if err != nil {
		c.warn(usable, "cores: %v", err)
		return
	}
	if missing := node.Usable.Difference(cores.Topology().Online); !missing.IsEmpty() {
		c.warn(usable, "cores: usable names CPUs %s, which this machine does not have, or are offline: the others are given out", missing)
	}
}

// lookAtStateDir says what keeps the plugin from taking state_dir, or from keeping it over
// a reboot.
func (c *check) lookAtStateDir(dir string) {
	key := c.own(settings.Key{"state_dir"})
	if os.Geteuid() != 0 {
		c.report.Notes = append(c.report.Notes, "state_dir was not looked at: that takes the rights of the agent, which is root as a rule")
		return
	}
	err := state.CheckWay("state_dir", dir)
	if err == nil {
		_, err = state.OpenReadOnly(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.warn(key, "%v", err)
		return
	}
	there := existing(dir)
	switch err := unix.Access(there, unix.W_OK|unix.X_OK); {
	case err != nil:
		c.warn(key, "state_dir %s cannot be written to: %v: mount it for writing, or name another", there, err)
	case isInMemory(there):
		c.warn(key, "state_dir %s is in memory: a reboot forgets runs, their ends and their history; name a folder on a disk", dir)
	}
}

// existing is the nearest folder on the way to a path, or that itself, that is there.
func existing(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

func isInMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC)
}

// lookAtPluginDir looks for the plugin's file where the agent does.
func (c *check) lookAtPluginDir() {
	dir := c.agent.PluginDir
	if dir == "" && c.agent.DataDir != "" {
		dir = filepath.Join(c.agent.DataDir, "plugins")
	}
	if dir == "" {
		c.report.Notes = append(c.report.Notes, "neither plugin_dir nor data_dir is set in these files: whether the plugin is there was not looked at (-plugin-dir DIR)")
		return
	}
	path := filepath.Join(dir, c.names.Plugin)
	info, err := os.Stat(path)
	link, _ := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("plugin_dir %s was not looked at: that takes the rights of the agent", dir))
	case err != nil && link != nil:
		c.refuse([]string{"plugin_dir"}, "plugin_dir: %s is a link that leads nowhere, and the agent does not start with one there: put the plugin there", path)
	case err != nil:
		c.warn([]string{"plugin_dir"}, "plugin_dir: %v: the agent does not load the driver, and does not say so; put the plugin there", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		c.warn([]string{"plugin_dir"}, "plugin_dir: %s is not an executable file, and the agent skips it: chmod 0755 it", path)
	}
}

// lookAtDataDir looks whether the users of tasks can come to the task directories, where
// run folders are with a relative work_dir. An agent that is not root has one user only.
func (c *check) lookAtDataDir() {
	dir, key := c.agent.Client.AllocDir, []string{"client", "alloc_dir"}
	if dir == "" && c.agent.DataDir != "" {
		dir, key = filepath.Join(c.agent.DataDir, "alloc"), []string{"data_dir"}
	}
	if dir == "" {
		return
	}
	ways := []string{dir}
	if to, err := filepath.EvalSymlinks(existing(dir)); err == nil { //nolint:forbidigo // nothing is opened, only told
		ways = append(ways, to) // what a link on the way leads through
	}
	for _, way := range ways {
		if at, info := closedOn(way); at != "" {
			c.warn(key, "%s: %s %s: tasks run as users of their own, who cannot come to run folders below it (work_dir = \"local\"): chmod %04o %s",
				key[len(key)-1], at, closedBy(info), info.Mode().Perm()|0o111, at)
			return
		}
	}
	if _, err := os.Stat(c.agent.DataDir); c.agent.DataDir != "" && errors.Is(err, fs.ErrNotExist) {
		c.warn([]string{"data_dir"}, "data_dir: %s is not there, and Nomad makes it with mode 0700, through which users of tasks cannot come to run folders below it (work_dir = \"local\"): install -d -m 0711 %s",
			c.agent.DataDir, c.agent.DataDir)
	}
}

// closedOn returns the first folder on the way to a path that does not let everybody pass;
// "" where all do that are there.
func closedOn(path string) (at string, info fs.FileInfo) {
	at = "/"
	for name := range strings.SplitSeq(strings.Trim(filepath.Clean(path), "/"), "/") {
		at = filepath.Join(at, name)
		info, err := os.Stat(at)
		if err != nil {
			break
		}
		if closedBy(info) != "" {
			return at, info
		}
	}
	return "", nil
}

// closedBy says why a folder does not let everybody pass. One of a user who is not root,
// and calls this, may be all that his own agent needs.
func closedBy(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o001 != 0 || stat.Uid != 0 && int(stat.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf("has mode %04o, of uid %d", info.Mode().Perm(), stat.Uid)
}
