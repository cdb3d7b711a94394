// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/hangfs"
)

// resident is a user of this machine that owns nothing of the tests, and is not who a
// squashed root is.
const resident = "games"

// private gives a folder and all in it to a user alone.
func private(t *testing.T, folder, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	must.NoError(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must.NoError(t, err)
	must.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, gid)
		}
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		if err == nil {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
}

// showsProgress demands that root's status tells how far the one run is.
func (s *site) showsProgress() {
	s.t.Helper()
	out, err := exec.CommandContext(within(s.t), s.PluginPath(), "status", "-json", "-state-dir", s.StateDir()).Output()
	must.NoError(s.t, err)
	var seen struct {
		Tasks []struct {
			Progress *float64 `json:"progress_ratio"`
		} `json:"tasks"`
	}
	must.NoError(s.t, json.Unmarshal(out, &seen))
	must.Len(s.t, 1, seen.Tasks)
	must.NotNil(s.t, seen.Tasks[0].Progress, must.Sprint(string(out)))
}

// On a file server that does not trust root nothing can be done in a private folder
// but as its owner.
func TestDriver_RunsInAPrivateFolderOfAServerThatDoesNotTrustRoot(t *testing.T) {
	t.Parallel()
	if why := hangfs.Missing(); why != "" {
		t.Skip(why)
	}
	s := &site{t: t, scratch: worldReadable(t)}
	dir := worldReadable(t)
	backing, path := filepath.Join(dir, "disk"), filepath.Join(dir, "home")
	must.NoError(t, os.Mkdir(backing, 0o755))
	must.NoError(t, os.Mkdir(path, 0o755))
	server, err := hangfs.NewSquashing(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s.roots = []string{path}
	s.begin("")
	behind := s.deckBelow(backing, "games", "solid_bar_impact") // what root sees of it here
	private(t, behind, resident)
	folder := filepath.Join(path, "games")
	_, err = os.ReadDir(folder)
	must.ErrorIs(t, err, os.ErrPermission)

	hcl := jobHCL{
		name: "private", folder: folder, config: "ncpu = 1", task: `user = "` + resident + `"`,
		env: "STANDIN_PACE = \"10ms\"\nSTANDIN_POLL = \"5\"",
	}
	r := s.start(hcl)
	s.waitCycles(&run{s: s, job: r.job, folder: behind, alloc: r.alloc})
	alloc := r.wait(api.AllocClientStatusRunning)
	must.NoError(t, s.API.Allocations().Signal(alloc, nil, "lsdyna", "SIGUSR1"))
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Switch sw3, dump d3dump01 written"))

	s.killPlugin()
	r.recovered()
	s.showsProgress()
	must.NoError(t, s.StopJob(within(t), hcl.name, false))
	r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump02 written"))

	hcl.env = ""
	next := r.runAgain(hcl.String())
	next.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Restarting from d3dump02"),
		cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	out, err := s.TaskLog(within(t), next.alloc, "lsdyna", "stdout")
	must.NoError(t, err)
	must.StrContains(t, strings.Join(strings.Fields(out), ""), "Normaltermination")
	must.NoError(t, filepath.WalkDir(behind, func(path string, entry os.DirEntry, err error) error {
		must.NoError(t, err)
		info, err := entry.Info()
		must.NoError(t, err)
		owner, err := user.LookupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)))
		must.NoError(t, err)
		must.Eq(t, resident, owner.Username, must.Sprint(path))
		return nil
	}))
}
