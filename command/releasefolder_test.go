// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// lostRun is a run folder whose run was on a node that does not answer.
func lostRun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data, err := json.Marshal(ownership.Owner{
		Version: 1, Run: "a1b2c3d4/solve/1", Job: "crash", Alloc: "a1b2c3d4e5", Task: "solve",
		Node: ownership.Node{ID: "gone", Name: "gone\x1b[2J", Host: "gone", Boot: "its boot"}, Since: time.Now(),
	})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, ownership.OwnerFile), data, 0o644))
	return dir
}

func claim(t *testing.T, dir string) (*ownership.Claim, error) {
	t.Helper()
	folder, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return ownership.Of(folder).Claim(ownership.Owner{Run: "next", Job: "crash", Node: ownership.ThisNode("", "here")})
}

func TestReleaseFolder_letsTheNextRunIn(t *testing.T) {
	dir := lostRun(t)
	_, err := claim(t, dir)
	must.ErrorContains(t, err, "release-folder "+dir)

	r := call(t, "release-folder", "-dry-run", dir)
	must.Eq(t, exitOK, r.code)
	must.StrContains(t, r.out, dir+" belongs to task solve of job crash (allocation a1b2c3d4) on node gone")
	must.StrNotContains(t, r.out, "\x1b")
	must.FileExists(t, filepath.Join(dir, ownership.OwnerFile))

	r = call(t, "release-folder", dir)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.StrContains(t, r.out, "is released; it belonged to task solve")
	_, err = claim(t, dir)
	must.NoError(t, err)
}

func TestReleaseFolder_json(t *testing.T) {
	var report releaseReport
	dir := lostRun(t)
	must.NoError(t, json.Unmarshal([]byte(call(t, "release-folder", "-json", dir).out), &report))
	must.True(t, report.Released)
	must.Eq(t, "crash", report.Owner.Job)
	must.NoError(t, json.Unmarshal([]byte(call(t, "release-folder", "-json", dir).out), &report))
}

func TestReleaseFolder_refusesWhereARunLives(t *testing.T) {
	dir := t.TempDir()
	c, err := claim(t, dir)
	must.NoError(t, err)
	r := call(t, "release-folder", dir)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "is not released: run next of job crash runs there on node here")
	must.NoError(t, c.Release())
	r = call(t, "release-folder", "-dry-run", dir)
	must.StrContains(t, r.out, "has no owner; its last run was run next of job crash on node here")
}

func TestReleaseFolder_wrongCalls(t *testing.T) {
	for _, args := range [][]string{{}, {""}, {"a", "b"}, {"-force", "a"}} {
		must.Eq(t, exitUsage, call(t, append([]string{"release-folder"}, args...)...).code, must.Sprint(args))
	}
	r := call(t, "release-folder", "/nowhere")
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "no such file or directory")
	r = call(t, "release-folder", t.TempDir())
	must.Eq(t, exitOK, r.code)
	must.StrContains(t, r.out, "has no owner")
}
