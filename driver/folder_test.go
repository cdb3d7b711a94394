// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// beside is another client on this machine, which reaches the first one's run folders.
func (n *node) beside(root string) *node {
	n.t.Helper()
	other := newLoneNode(n.t, func(c *settings.Config) { c.WorkRoots = []string{root} })
	other.patience.vacancy = time.Millisecond
	return other
}

// endsRunning lets a test stop the driver, and fail while it is stopped: the clean-up
// of the node needs one that runs.
func (n *node) endsRunning() {
	n.t.Cleanup(func() {
		if n.ctx.Err() != nil {
			n.launch()
		}
	})
}

// refusedFolder starts a job in another run's folder.
func (n *node) refusedFolder(j job) string {
	n.t.Helper()
	_, _, err := n.StartTask(n.task(j))
	must.Error(n.t, err)
	must.True(n.t, structs.IsRecoverable(err), must.Sprint(err))
	return err.Error()
}

func TestFolder_OneSolverWhateverClientStartsIt(t *testing.T) {
	first := newNode(t)
	second := first.beside(first.work)
	r := first.start(slowJob("ncpu = 1"))
	j := slowJob("ncpu = 1")
	j.folder = r.folder
	said := second.refusedFolder(j)
	must.StrContains(t, said, "task solve of job crash (allocation "+r.id[:8]+") runs there on node")
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))

	// It waits for a run that is leaving, and says so.
	second.patience.vacancy = patience
	cfg := second.task(j)
	started := make(chan *run)
	go func() {
		handle, _, err := second.StartTask(cfg)
		if err != nil {
			t.Error(err)
			close(started)
			return
		}
		started <- second.started(cfg, handle)
	}()
	r.isSeenComputing()
	second.hears(cfg.ID, "Waiting for the run folder "+r.folder)
	must.NoError(t, first.StopTask(r.id, patience, "SIGTERM"))
	first.hears(r.id, "dump d3dump01 written")
	next := <-started
	must.NotNil(t, next)
	must.Eq(t, []int{next.pid}, solversIn(t, r.folder))
	second.hears(cfg.ID, "Restarting from d3dump01")
}

// The lock goes where its holders go.
func TestFolder_StaysTheRunsWhateverDies(t *testing.T) {
	for name, kill := range map[string]func(*node, *run){
		"the plugin":     func(n *node, _ *run) { n.stop() },
		"the supervisor": func(_ *node, r *run) { r.killSupervisor() },
		"the plugin comes back, then the supervisor": func(n *node, r *run) {
			n.restart()
			r.comeBack()
			r.killSupervisor()
		},
		"the supervisor, then the plugin comes back": func(n *node, r *run) {
			r.killSupervisor()
			n.restart()
			r.comeBack()
		},
		"the supervisor, then the plugin": func(n *node, r *run) {
			r.killSupervisor()
			n.stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := newNode(t)
			first.endsRunning()
			r := first.start(slowJob("ncpu = 1"))
			second := first.beside(first.work)
			kill(first, r)
			j := slowJob("ncpu = 1")
			j.folder = r.folder
			for range 20 {
				must.StrContains(t, second.refusedFolder(j), "(allocation "+r.id[:8]+") runs there on node")
			}
			must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
		})
	}
}

func supervisorOf(r *run) int {
	rec, err := r.task().Process().Record()
	must.NoError(r.t, err)
	return rec.SupervisorPID
}

func (r *run) killSupervisor() {
	r.t.Helper()
	pid := supervisorOf(r)
	must.NoError(r.t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(r.t, "the supervisor is gone", func() bool { return !alive(pid) })
}

// Two paths to one folder are one folder, in one client and in two.
func TestFolder_AnAliasIsTheSameFolder(t *testing.T) {
	first := newNode(t)
	alias := filepath.Join(filepath.Dir(first.work), "alias")
	must.NoError(t, os.Symlink(first.work, alias))
	config := *first.config
	config.WorkRoots = []string{first.work, alias}
	first.change(&config)
	r := first.start(slowJob("ncpu = 1"))
	j := slowJob("ncpu = 1")
	j.folder = filepath.Join(alias, filepath.Base(r.folder))
	must.StrContains(t, first.refusedFolder(j), "task solve of job crash (allocation "+r.id[:8]+") runs there; ")
	must.StrContains(t, first.beside(alias).refusedFolder(j), "(allocation "+r.id[:8]+") runs there on node")
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
}

// A failed start leaves the folder to others, and an end does, too, seen or not.
func TestFolder_IsFreeAfter(t *testing.T) {
	for name, leave := range map[string]func(*node, job){
		"a start that failed": func(n *node, j job) {
			bad := j
			bad.config += "\nmemory = \"nonsense\""
			_, _, err := n.StartTask(n.task(bad))
			must.Error(n.t, err)
		},
		"an end": func(n *node, j job) {
			r := n.start(j)
			must.NoError(n.t, n.StopTask(r.id, patience, "SIGTERM"))
		},
		"an end that no plugin saw": func(n *node, j job) {
			r := n.start(j)
			n.stop()
			must.NoError(n.t, syscall.Kill(r.pid, syscall.SIGKILL))
			eventually(n.t, "the solver is gone", func() bool { return !alive(r.pid) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := newNode(t)
			first.endsRunning()
			j := slowJob("ncpu = 1")
			j.folder = first.folder(deckFiles(t, true))
			leave(first, j)
			second := first.beside(first.work)
			second.patience.vacancy = patience
			second.start(j)
		})
	}
}

// What a run left for others to find is not taken for a run's own end: its folder is
// another's by now.
func TestFolder_AnotherRunsOutputsAreNotItsOwn(t *testing.T) {
	first := newNode(t)
	first.endsRunning()
	r := first.start(slowJob("ncpu = 1"))
	first.stop()
	must.NoError(t, syscall.Kill(r.pid, syscall.SIGKILL))
	eventually(t, "the solver is gone", func() bool { return !alive(r.pid) })

	second := first.beside(first.work)
	second.patience.vacancy = patience
	j := standinJob("ncpu = 1")
	j.folder = r.folder
	other := second.start(j)
	must.True(t, other.wait().Successful())

	first.launch()
	r.comeBack()
	result := r.wait()
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "unknown: outputs unreadable: task solve of job crash (allocation "+other.id[:8]+")")
}

// A run folder without room costs one attempt of the restart policy, not the task.
func TestStart_RunFolderIsFull(t *testing.T) {
	needRoot(t)
	root := worldReadable(t)
	folder := filepath.Join(root, "full")
	must.NoError(t, os.Mkdir(folder, 0o755))
	files := deckFiles(t, false)
	const options = "mode=0755,uid=65534,gid=65534,nr_inodes="
	must.NoError(t, unix.Mount("full", folder, "tmpfs", 0, options+strconv.Itoa(1+len(files))))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(folder, unix.MNT_DETACH)) })
	for name, content := range files {
		must.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644))
	}
	n := newLoneNode(t, func(c *settings.Config) { c.WorkRoots = []string{root} })
	j := standinJob("ncpu = 1")
	j.folder = folder
	must.StrContains(t, n.refusedFolder(j), "no space left on device")
	must.SliceEmpty(t, n.cores.Leases())

	must.NoError(t, unix.Mount("full", folder, "tmpfs", unix.MS_REMOUNT, options+"100"))
	must.Zero(t, n.start(j).wait().ExitCode)
}
