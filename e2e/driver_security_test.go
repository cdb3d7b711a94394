// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// What a job may say is checked by the plugin of a real agent, in words, and a
// refused start leaves nothing behind.
func TestDriver_JobsReachNoFurtherThanTheirUser(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	s := newSite(t, `denied_host_uids = "1-1000"`)
	foreign := s.deck("foreign", "solid_bar_impact")
	must.NoError(t, os.WriteFile(filepath.Join(foreign, "d3kil"), []byte("sw1.\n"), 0o644))
	must.NoError(t, os.Chown(foreign, 54321, 54321))
	own := s.deck("own", "solid_bar_impact")
	must.NoError(t, os.Symlink("/etc/passwd", filepath.Join(own, "leak.k")))
	for _, c := range []struct{ name, folder, config, task, want string }{
		{"as-root", own, "", `user = "root"`, "is root, which this node does not allow"},
		{"as-denied", own, "", `user = "daemon"`, "which this node denies"},
		{"foreign-folder", foreign, "", "", "may not write there"},
		{"outside", "/etc", "", "", "not below one of this node's work_roots"},
		{"upwards", "../../../../..", "", "", "leads out of"},
		{"own-arguments", own, `args = ["i=/etc/passwd"]`, "", "would override what the driver sets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.submit(jobHCL{name: c.name, folder: c.folder, config: c.config, task: c.task})
			r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", c.want))
		})
	}
	t.Run("input-is-a-link", func(t *testing.T) {
		hcl := strings.Replace(jobHCL{name: "input-is-a-link", folder: own}.String(), `"main.k"`, `"leak.k"`, 1)
		alloc, err := s.Run(within(t), hcl)
		must.NoError(t, err)
		r := &run{s: s, job: "input-is-a-link", folder: own, alloc: alloc}
		r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "input: leak.k cannot be used"))
	})
	t.Run("command", func(t *testing.T) {
		hcl := strings.Replace(jobHCL{name: "command", folder: own}.String(), `solver   = "standin"`, `command = "/bin/sh"`, 1)
		alloc, err := s.Run(within(t), hcl)
		must.NoError(t, err)
		r := &run{s: s, job: "command", folder: own, alloc: alloc}
		r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "command is not allowed on this node"))
	})
	must.FileExists(t, filepath.Join(foreign, "d3kil"))
	records, err := filepath.Glob(filepath.Join(s.StateDir(), "tasks", "*"))
	must.NoError(t, err)
	must.Len(t, 0, records)
}

// alloc exec gives the task's own rights and no others.
func TestDriver_ExecHasTheTasksRightsOnly(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	s := newSite(t, "")
	r := s.start(jobHCL{name: "exec", folder: s.deck("exec", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	alloc := r.wait(api.AllocClientStatusRunning)
	var out, errs bytes.Buffer
	code, err := s.API.Allocations().Exec(within(t), alloc, "lsdyna", false, []string{
		"/bin/sh", "-c",
		"cat /proc/self/status /proc/self/cgroup; ls " + s.StateDir() + "; kill -9 $PPID; exit 3",
	},
		strings.NewReader(""), &out, &errs, nil, nil)
	must.NoError(t, err)
	must.Eq(t, 3, code)
	said := out.String()
	for _, line := range []string{
		"Uid:\t65534\t65534\t65534\t65534\n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n",
		"Cpus_allowed_list:\t" + r.checkCores().String() + "\n", alloc.ID + ".lsdyna",
	} {
		must.StrContains(t, said, line)
	}
	for line := range strings.Lines(said) {
		if groups, ok := strings.CutPrefix(line, "Groups:"); ok {
			must.SliceNotContains(t, strings.Fields(groups), "0")
		}
	}
	must.StrContains(t, errs.String(), "ermission denied")
	must.StrContains(t, errs.String(), "not permitted")
	plugins, err := s.Plugins()
	must.NoError(t, err)
	must.Len(t, 1, plugins)
}

// Secrets of agent, task and licence server are nowhere but in the solver's own
// environment.
func TestDriver_KeepsSecretsToTheSolver(t *testing.T) {
	t.Parallel()
	const agents, tasks, licence = "s3cret-of-the-agent", "s3cret-of-the-task", "s3cret-licence-host"
	s := newSite(t, `
    license {
      type   = "network"
      server = "31010@`+licence+`"
    }`, func(c *cluster.Config) { c.Env = append(c.Env, "VAULT_TOKEN="+agents) })
	env := "TASK_TOKEN = \"" + tasks + "\"\n"
	refused := s.submit(jobHCL{name: "refused", folder: s.deck("refused", "solid_bar_impact"), env: env + `STANDIN_FAULT = "license_refused"`})
	refused.wait(api.AllocClientStatusFailed)
	r := s.start(jobHCL{name: "keeps", folder: s.deck("keeps", "solid_bar_impact"), config: "ncpu = 1", env: env + slow})
	s.killPlugin()
	r.recovered()

	environ, err := proc.Environ(r.pidFile().PID)
	must.NoError(t, err)
	solver := strings.Join(environ, "\n")
	must.StrContains(t, solver, tasks)
	must.StrContains(t, solver, licence)
	must.StrNotContains(t, solver, agents)
	environ, err = proc.Environ(r.pidFile().SupervisorPID)
	must.NoError(t, err)
	must.StrNotContains(t, strings.Join(environ, "\n"), "s3cret")

	told := map[string]string{"the agent's log": s.LogTail(1 << 30)}
	for _, run := range []*run{refused, r} {
		alloc, _, err := s.API.Allocations().Info(run.alloc, nil)
		must.NoError(t, err)
		states, err := json.Marshal(alloc.TaskStates)
		must.NoError(t, err)
		told["the events of "+run.job] = string(states)
	}
	node, err := s.Node()
	must.NoError(t, err)
	attributes, err := json.Marshal([]any{node.Attributes, node.Drivers})
	must.NoError(t, err)
	told["the node's attributes"] = string(attributes)
	must.NoError(t, filepath.WalkDir(s.StateDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		told[path] = string(data)
		return err
	}))
	for where, text := range told {
		must.StrNotContains(t, text, "s3cret", must.Sprint(where))
	}
}
