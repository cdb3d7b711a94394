// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"errors"
	"maps"
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Command prepares a command beside the solver: in its cgroup, on its cores, as
// its user, in its run folder.
func (h *Handle) Command(argv []string, tty bool) (*supervisor.ExecCmd, error) {
	spec := h.Spec()
	switch {
	case len(argv) == 0:
		return nil, errors.New("name a command to execute")
	case h.IsGone(), closed(h.Process().Gone()): // its cores are free already
		return nil, errors.New("the solver has ended; there is no task to execute a command in")
	case spec == nil:
		return nil, errors.New("the run's record is damaged; no command can be executed in it")
	}
	return h.Process().Command(spec, supervisor.ExecOptions{Argv: argv, Env: h.execEnv(spec), CPUs: h.Binder.Leased(), TTY: tty})
}

// execEnv is the environment that Nomad gave the task. It is kept in memory only
// (Nomad hands it over again with a recovered task), so that no token is written.
func (h *Handle) execEnv(spec *supervisor.Spec) []string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if given := h.env.Load(); given != nil {
		maps.Copy(env, *given)
	}
	u := spec.User
	env["HOME"], env["USER"], env["LOGNAME"] = u.Home, u.Name, u.Name
	env["PWD"] = spec.Dir
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
