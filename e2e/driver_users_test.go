// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// The users and groups of the directory. Nobody is the machine's.
const (
	doraID, dorasID   = 61234, 61000
	crashID, secretID = 61300, 61301
)

// directory is what the agent sees of a directory: the NSS module libnss-extrausers,
// which reads users from files of its own, as SSSD's module asks SSSD.
func directory(t *testing.T) []cluster.Bind {
	t.Helper()
	requireRoot(t)
	const module, place = "/usr/lib/libnss_extrausers.so.2", "/var/lib/extrausers"
	for _, path := range []string{module, place} {
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("LSDYNA_E2E_REQUIRED") != "" && !inVM() {
				t.Fatalf("%v: install libnss-extrausers", err)
			}
			t.Skipf("%v: install libnss-extrausers for this test", err)
		}
	}
	dir := worldReadable(t)
	write := func(name, text string) {
		t.Helper()
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("nsswitch.conf", "passwd: files extrausers\ngroup: files extrausers\nshadow: files\n")
	write("passwd", fmt.Sprintf("dora:x:%d:%d:Dora:/home/dora:/bin/sh\n", doraID, dorasID))
	write("group", fmt.Sprintf("doras:x:%d:\ncrash:x:%d:dora,nobody\nsecret:x:%d:dora\n", dorasID, crashID, secretID))
	write("shadow", "")
	return []cluster.Bind{{From: dir, At: place}, {From: filepath.Join(dir, "nsswitch.conf"), At: "/etc/nsswitch.conf"}}
}

// newDirectorySite is newSite for a node whose users are in the directory.
func newDirectorySite(t *testing.T, config string) *site {
	t.Helper()
	binds := directory(t)
	return newSite(t, config, func(c *cluster.Config) { c.Binds = binds })
}

// dorasDeck is a run folder that only dora's group may enter.
func (s *site) dorasDeck(name string, group int) string {
	s.t.Helper()
	folder := s.deck(name, "solid_bar_impact")
	must.NoError(s.t, os.Chown(folder, doraID, group))
	must.NoError(s.t, os.Chmod(folder, 0o770))
	return folder
}

// ids are the lines of a process's status that say whose it is.
func ids(uid, gid int, groups ...int) []string {
	four := func(key string, id int) string { return key + ":" + strings.Repeat(fmt.Sprintf("\t%d", id), 4) }
	return []string{four("Uid", uid), four("Gid", gid), "Groups:\t" + strings.Trim(fmt.Sprint(groups), "[]")}
}

// idsOf returns these lines of a status file.
func idsOf(status string) []string {
	var found []string
	for line := range strings.Lines(status) {
		for _, key := range []string{"Uid:", "Gid:", "Groups:"} {
			if strings.HasPrefix(line, key) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// execStatus is the status of a command that alloc exec runs.
func (r *run) execStatus() string {
	r.s.t.Helper()
	alloc := r.wait(api.AllocClientStatusRunning)
	var out, errs bytes.Buffer
	code, err := r.s.API.Allocations().Exec(within(r.s.t), alloc, "lsdyna", false, []string{"/bin/cat", "/proc/self/status"},
		strings.NewReader(""), &out, &errs, nil, nil)
	must.NoError(r.s.t, err)
	must.Eq(r.s.t, 0, code, must.Sprint(errs.String()))
	return out.String()
}

// Users that no file of the machine knows run solvers, with all their groups, and
// find their folders open; alloc exec gives the same, also after a restart.
func TestDriver_UsersOfTheDirectory(t *testing.T) {
	t.Parallel()
	s := newDirectorySite(t, "")
	solver := func(r *run) []string {
		t.Helper()
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pidFile().PID))
		must.NoError(t, err)
		return idsOf(string(status))
	}
	primary := s.start(jobHCL{name: "primary", folder: s.dorasDeck("primary", dorasID), config: "ncpu = 1", task: `user = "dora"`, env: slow})
	must.Eq(t, ids(doraID, dorasID, dorasID, crashID, secretID), solver(primary))
	environ, err := proc.Environ(primary.pidFile().PID)
	must.NoError(t, err)
	for _, variable := range []string{"USER=dora", "LOGNAME=dora", "HOME=/home/dora"} {
		must.SliceContains(t, environ, variable)
	}
	must.NoError(t, s.StopJob(within(t), "primary", false))

	project := s.start(jobHCL{
		name: "project", folder: s.dorasDeck("project", crashID), config: "ncpu = 1\n group = \"crash\"", task: `user = "61234"`, env: slow,
	})
	want := ids(doraID, crashID, dorasID, crashID, secretID)
	must.Eq(t, want, solver(project))
	must.Eq(t, want, idsOf(project.execStatus()))
	s.killPlugin()
	project.recovered()
	must.Eq(t, want, idsOf(project.execStatus()))
	must.NoError(t, s.StopJob(within(t), "project", false))

	// The directory has a group for a user of the machine, too.
	nobodys := s.start(jobHCL{name: "nobodys", folder: s.deck("nobodys", "solid_bar_impact"), config: "ncpu = 1\n group = \"crash\"", env: slow})
	must.Eq(t, ids(65534, crashID, crashID, 65534), solver(nobodys))
}

func TestDriver_UsersOfTheDirectoryAreHeldToTheNodesRules(t *testing.T) {
	t.Parallel()
	s := newDirectorySite(t, fmt.Sprintf(`
    require_user     = true
    denied_host_gids = "%d"`, secretID))
	folder := s.dorasDeck("refused", dorasID)
	jobs := []struct{ name, config, task, want string }{
		{"denied", "", `user = "dora"`, fmt.Sprintf("user dora is in group %d, which this node denies", secretID)},
		{"denied-by-uid", `group = "crash"`, `user = "61234"`, fmt.Sprintf("user dora is in group %d, which this node denies", secretID)},
		{"unnamed", "", "", "require_user = true"},
		{"foreign-group", `group = "doras"`, `user = "nobody"`, `user nobody is not in group "doras" (gid 61000)`},
		{"no-such-user", "", `user = "frida"`, `user "frida" is not known on this node, nor to its directory (getent passwd "frida")`},
		{"no-such-group", `group = "frida"`, `user = "nobody"`, `group "frida" is not known on this node, nor to its directory`},
		{"an-option", "", `user = "--service=files"`, "is not known on this node"},
	}
	runs := make([]*run, len(jobs))
	for i, c := range jobs {
		runs[i] = s.submit(jobHCL{name: c.name, folder: folder, config: c.config, task: c.task})
	}
	for i, r := range runs {
		r.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", jobs[i].want))
	}
	records, err := filepath.Glob(filepath.Join(s.StateDir(), "tasks", "*"))
	must.NoError(t, err)
	must.Len(t, 0, records)
}
