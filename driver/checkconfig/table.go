// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

// hidden stands for what is a secret: reports end up in tickets.
const hidden = "(set, not shown)"

// table lists the settings as the driver takes them.
func (c *check) table(decoded settings.Config, node *settings.Settings) []findings.Setting {
	var all []findings.Setting
	add := func(value string, key ...string) {
		all = append(all, findings.Setting{Key: settings.Key(key).String(), Value: value, Default: !c.agent.Has(c.own(key)...)})
	}
	add(strconv.FormatBool(node.Enabled), "enabled")
	add(node.StateDir, "state_dir")
	add(node.StatusDir, "status_dir")
	add(node.Usable.String(), "cores", "usable")
	add(string(node.Allocator.SMT), "cores", "smt")
	add(string(node.Allocator.Layout), "cores", "layout")
	add(string(node.Memory), "cores", "memory")
	for _, s := range node.Solvers {
		add(s.Path, "solver", s.Name, "path")
		add(string(s.Parallel), "solver", s.Name, "parallel")
		add(string(s.Precision), "solver", s.Name, "precision")
		if s.MPI != "" {
			add(string(s.MPI), "solver", s.Name, "mpi")
			add(s.MPIRun, "solver", s.Name, "mpirun")
		}
		if len(s.Env) > 0 {
			add(strings.Join(slices.Sorted(maps.Keys(s.Env)), ", ")+" "+hidden, "solver", s.Name, "env")
		}
	}
	if l := node.License; l != nil {
		add(l.Type, "license", "type")
		add(map[bool]string{true: hidden}[l.Server != ""], "license", "server")
		add(l.QRun, "license", "qrun")
		if l.Type == "ansys" {
			add(map[bool]string{true: hidden}[l.Interconnect != ""], "license", "interconnect")
		}
	}
	add(strings.Join(node.WorkRoots, ", "), "work_roots")
	add(strconv.FormatBool(decoded.AllowCommand), "allow_command")
	add(strconv.FormatBool(decoded.AllowRoot), "allow_root")
	add(strconv.FormatBool(decoded.AllowSetuid), "allow_setuid")
	add(strconv.FormatBool(decoded.RequireUser), "require_user")
	add(strconv.FormatInt(decoded.MaxProcesses, 10), "max_processes")
	add(node.Users.DeniedUIDs.String(), "denied_host_uids")
	add(node.Users.DeniedGIDs.String(), "denied_host_gids")
	return all
}
