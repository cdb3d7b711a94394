// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report"
)

// pageIn reads the page that a run has left under a name in its folder.
func pageIn(t *testing.T, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	must.NoError(t, err)
	return string(data)
}

// Every end leaves a page, which says what Nomad was told; while the run lives, a command
// makes one.
func TestDriver_LeavesAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	ends := map[string]struct {
		env    string
		end    func(r *run)
		status string
		want   []string
	}{
		"completes": {"", func(*run) {}, api.AllocClientStatusComplete, []string{">Completed<", "exit code 0", `id="progress"`, `id="energies"`}},
		"fails":     {`STANDIN_FAULT = "error=20"`, func(*run) {}, api.AllocClientStatusFailed, []string{">Failed<", "40500"}},
		"killed": {
			steady, func(r *run) { must.NoError(t, unix.Kill(r.pidFile().PID, unix.SIGKILL)) },
			api.AllocClientStatusFailed,
			[]string{">Killed<", "signal 9, SIGKILL"},
		},
		"stopped": {steady, func(r *run) {
			page := s.prints("report", r.alloc[:13])
			must.StrContains(t, page, ">Running<")
			must.StrContains(t, page, `id="cores"`)
			must.NoError(t, s.StopJob(within(t), r.job, false))
		}, api.AllocClientStatusComplete, []string{">Stopped<", "Stopping with sw1, dump d3dump01 written", `id="dumps"`}},
	}
	for name, c := range ends {
		hcl := jobHCL{name: "page-" + name, folder: s.deck("page-"+name, "solid_bar_impact"), config: "ncpu = 1\n report = true", env: c.env}
		r := s.submit(hcl)
		if c.env == steady {
			s.waitCycles(r)
		}
		c.end(r)
		last := r.wait(c.status)
		page := pageIn(t, r.folder, report.Name)
		for _, want := range append(c.want, "page-"+name, r.alloc, `id="events"`, `id="runs"`, `id="cores"`, "Allocated core ") {
			must.StrContains(t, page, want, must.Sprint(name))
		}
		must.StrNotContains(t, strings.Join(cluster.Events(last, "lsdyna"), "\n"), report.Name)
		info, err := os.Stat(filepath.Join(r.folder, report.Name))
		must.NoError(t, err)
		folder, err := os.Stat(r.folder) // which is the task's user's
		must.NoError(t, err)
		must.Eq(t, folder.Sys().(*syscall.Stat_t).Uid, info.Sys().(*syscall.Stat_t).Uid)
	}
}

// A file of that name that is the user's stays, and a folder where nothing can be written
// costs an event, not the outcome.
func TestDriver_PageThatCannotBeLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	hcl := jobHCL{name: "own", folder: s.deck("own", "solid_bar_impact"), config: "ncpu = 1\n report = true"}
	const users = "the user's own"
	must.NoError(t, os.WriteFile(filepath.Join(hcl.folder, report.Name), []byte(users), 0o644))
	s.submit(hcl).wait(api.AllocClientStatusComplete)
	must.Eq(t, users, pageIn(t, hcl.folder, report.Name))
	must.StrContains(t, pageIn(t, hcl.folder, report.OtherName), ">Completed<")

	hcl = jobHCL{name: "neither", folder: s.deck("neither", "solid_bar_impact"), config: "ncpu = 1\n report = true"}
	for _, name := range []string{report.Name, report.OtherName} {
		must.NoError(t, os.Mkdir(filepath.Join(hcl.folder, name), 0o755))
	}
	s.submit(hcl).wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "The run has left no report.html in the run folder"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
}
