// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// stranger is a user that no task of these tests runs as.
const stranger = 54321

// A job names its work_dir, and the driver is root.
func TestStart_LeavesAnotherUsersFolderAlone(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	for name, mode := range map[string]os.FileMode{"that all may read": 0o755, "of the owner alone": 0o700} {
		words := map[os.FileMode]string{0o755: "user nobody may not write there", 0o700: "user nobody may not enter or read it"}[mode]
		t.Run(name, func(t *testing.T) {
			j := standinJob("ncpu = 1")
			files := deckFiles(t, false)
			files["d3kil"] = "sw1.\n" // on its way to the stranger's own run
			j.folder = n.folder(files)
			must.NoError(t, os.Chown(j.folder, stranger, stranger))
			must.NoError(t, os.Chmod(j.folder, mode))
			_, _, err := n.StartTask(n.task(j))
			must.ErrorContains(t, err, words)
			left, err := os.ReadDir(j.folder)
			must.NoError(t, err)
			must.Len(t, len(files), left)
			must.FileExists(t, filepath.Join(j.folder, "d3kil"))
		})
	}
}

// Behind a folder that only its owner may enter nothing can be told apart.
func TestStart_SeesNothingBehindAClosedDoor(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	door := n.folder(nil)
	must.NoError(t, os.Chown(door, stranger, stranger))
	must.NoError(t, os.Chmod(door, 0o700))
	j := standinJob("ncpu = 1")
	j.folder = filepath.Join(door, "run")
	must.NoError(t, os.Mkdir(j.folder, 0o777))
	must.NoError(t, os.Chmod(j.folder, 0o777))
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "permission denied")
}

// The hash of a deck stands in the run folder, for the user to read.
func TestStart_ReadsTheDeckWithTheUsersRights(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	identity := func(secret string) string {
		files := deckFiles(t, false)
		files["main.k"] = "*INCLUDE\nsecret.k\n" + files["main.k"]
		files["secret.k"] = secret
		j := standinJob("ncpu = 1")
		j.folder = n.folder(files)
		must.NoError(t, os.Chmod(filepath.Join(j.folder, "secret.k"), 0o600)) // root's
		_, _, err := n.StartTask(n.task(j))
		must.NoError(t, err)
		folder, err := rundir.Open(j.folder, ".")
		must.NoError(t, err)
		defer folder.Close()
		recorded, err := folder.ReadRecord()
		must.NoError(t, err)
		must.NotEq(t, "", recorded.Identity.Deck)
		return recorded.Identity.Deck
	}
	must.Eq(t, identity("$ one secret\n"), identity("$ another\n"))

	j := standinJob("ncpu = 1")
	j.folder = n.folder(deckFiles(t, false))
	must.NoError(t, os.Chmod(filepath.Join(j.folder, "main.k"), 0o600))
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "permission denied")
}

// Nothing that lies in the run folder makes the driver act elsewhere or wait.
func TestStart_PlantedFilesOfTheDriversOwnNames(t *testing.T) {
	n := newNode(t)
	for name, plant := range map[string]func(path, victim string) error{
		"a link": func(path, victim string) error { return os.Symlink(victim, path) },
		"a FIFO": func(path, _ string) error { return syscall.Mkfifo(path, 0o666) },
		"a file of another sort": func(path, _ string) error {
			return os.WriteFile(path, []byte("12345\n{\"cores\":[0],\"pid\":1,\"identity\":[]}\n"), 0o666)
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := standinJob("ncpu = 1")
			j.folder = n.folder(deckFiles(t, false))
			victim := filepath.Join(worldReadable(t), "victim")
			must.NoError(t, os.WriteFile(victim, []byte("untouched"), 0o666))
			must.NoError(t, os.Chmod(victim, 0o666))
			for _, file := range []string{rundir.RecordFile, rundir.HistoryFile, launch.RankFile, "d3kil", "pid", "exit.json", "spec.json", "task.json", "lock", "stdout", "stderr"} {
				must.NoError(t, plant(filepath.Join(j.folder, file), victim))
			}
			r := n.start(j)
			result := r.wait()
			must.True(t, result.Successful(), must.Sprintf("%+v", result))
			data, err := os.ReadFile(victim)
			must.NoError(t, err)
			must.Eq(t, "untouched", string(data))
		})
	}
}

func TestStart_DeniedUserIsRefused(t *testing.T) {
	needRoot(t)
	n := newNode(t, func(c *settings.Config) { c.DeniedUIDs = "65534" })
	_, _, err := n.StartTask(n.task(standinJob("ncpu = 1")))
	must.ErrorContains(t, err, "which this node denies")
	must.Eq(t, n.cores.Managed(), n.free())
}

// What the plugin knows is not the task's, and what the task sets is nobody
// else's: its LD_PRELOAD would otherwise run in a process of root's.
func TestTask_EnvironmentsStayApart(t *testing.T) {
	t.Setenv("PLUGIN_SECRET", "s3cret-of-the-agent")
	n := newLoneNode(t)
	j := n.script("exec sleep 3600")
	j.env = map[string]string{"LD_PRELOAD": "/nonexistent/evil.so", "TOKEN": "s3cret-of-the-task"}
	r := n.start(j)
	environ := func(pid int) string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		must.NoError(t, err)
		return string(data)
	}
	eventually(t, "the script runs", func() bool { return environ(r.pid) != "" })
	must.StrContains(t, environ(r.pid), "s3cret-of-the-task")
	must.StrContains(t, environ(r.pid), "LD_PRELOAD=")
	must.StrNotContains(t, environ(r.pid), "PLUGIN_SECRET")
	supervisor := environ(r.pidFile().SupervisorPID)
	for _, word := range []string{"s3cret", "LD_PRELOAD", "PLUGIN_SECRET"} {
		must.StrNotContains(t, supervisor, word)
	}
	result, err := n.ExecTask(r.id, []string{"/usr/bin/env"}, patience)
	must.NoError(t, err)
	must.StrContains(t, string(result.Stdout), "TOKEN=s3cret-of-the-task")
	must.StrNotContains(t, string(result.Stdout), "PLUGIN_SECRET")
}

// Tokens and the licence server stand in the task's environment only: not in
// the records, the driver state or the events.
func TestTask_SecretsAreNotWritten(t *testing.T) {
	n := newNode(t, func(c *settings.Config) {
		c.License = &settings.LicenseConfig{Type: "network", Server: "31010@s3cret-licence-host"}
	})
	var handles []*drivers.TaskHandle
	for _, fault := range []string{"license_refused", "error=20"} {
		j := standinJob("ncpu = 1", fault)
		j.env["VAULT_TOKEN"] = "s3cret-token"
		r := n.start(j)
		must.False(t, r.wait().Successful())
		must.StrNotContains(t, fmt.Sprint(r.wait().Err), "s3cret")
		n.restart()
		r.comeBack()
		must.False(t, r.wait().Successful())
		for _, words := range n.said(r.id) {
			must.StrNotContains(t, words, "s3cret")
		}
		handles = append(handles, r.handle)
	}
	for _, handle := range handles {
		must.StrNotContains(t, string(handle.DriverState), "s3cret")
	}
	files := 0
	must.NoError(t, filepath.WalkDir(n.config.StateDir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		info, err := entry.Info()
		must.NoError(t, err)
		must.Eq(t, os.FileMode(0o600), info.Mode().Perm(), must.Sprint(path))
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		must.StrNotContains(t, string(data), "s3cret", must.Sprint(path))
		return nil
	}))
	must.Greater(t, 5, files)
}

// What the operator allows and bounds comes to the supervisor.
func TestStart_HandsOnLimitsAndRights(t *testing.T) {
	for name, c := range map[string]struct {
		setuid    bool
		processes int64
	}{"as little as can be": {false, 77}, "as much as can be": {true, 0}} {
		n := newLoneNode(t, func(config *settings.Config) { config.AllowSetuid, config.MaxProcesses = c.setuid, c.processes })
		r := n.start(n.script("exec sleep 3600"))
		spec, err := supervisor.ReadSpec(r.recordDir())
		must.NoError(t, err)
		must.Eq(t, c.setuid, spec.AllowSetuid, must.Sprint(name))
		must.Eq(t, c.processes, spec.Limits.Processes, must.Sprint(name))
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid))
		must.NoError(t, err)
		must.Eq(t, map[bool]string{false: "1", true: "0"}[c.setuid], statusField(string(status), "NoNewPrivs"), must.Sprint(name))
	}
}
