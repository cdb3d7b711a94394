// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/peak"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// outputNames are the files of a run folder that the driver looks at.
var outputNames = []string{"stdout", "stderr", "messag", "d3hsp", "status.out", "d3kil", "d3dump01", "mes0001"}

// hiddenWords stand in a file of root's that tasks must not be shown.
const hiddenWords = "zq9hidden"

const tenGB = 10 << 30

// plants are what a task's user may put in the place of an output.
func plants(t *testing.T) map[string]func(path string) error {
	outside := t.TempDir()
	secret, huge := filepath.Join(outside, "secret"), filepath.Join(outside, "huge")
	must.NoError(t, os.WriteFile(secret, []byte(" *** Error 40500 (SOL+500)\n     "+hiddenWords+"\n\n N o r m a l    t e r m i n a t i o n\n"), 0o600))
	must.NoError(t, sparse(huge))
	before, err := os.ReadFile(secret)
	must.NoError(t, err)
	t.Cleanup(func() {
		after, err := os.ReadFile(secret)
		info, statErr := os.Lstat(secret)
		if err != nil || statErr != nil || !bytes.Equal(after, before) || info.Mode() != 0o600 {
			t.Errorf("somebody wrote to a file behind a link: %q, %v, %v", after, info, errors.Join(err, statErr))
		}
	})
	all := map[string]func(string) error{
		"link to a secret":    func(path string) error { return os.Symlink(secret, path) },
		"link to a huge file": func(path string) error { return os.Symlink(huge, path) },
		"link to a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"link to itself":      func(path string) error { return os.Symlink(path, path) },
		"fifo":                func(path string) error { return unix.Mkfifo(path, 0o666) },
		"socket":              func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) },
		"folder":              func(path string) error { return os.Mkdir(path, 0o777) },
		"sparse file":         sparse,
		"nothing":             func(string) error { return nil },
	}
	if os.Geteuid() == 0 {
		all["device"] = func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) }
	}
	return all
}

func sparse(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte("\n *** Warning 20282 (STR+282)\n"), tenGB)
	return errors.Join(err, file.Close())
}

// plant puts something in the place of every output in a folder.
func plant(t *testing.T, folder string, put func(string) error) {
	t.Helper()
	for _, name := range outputNames {
		path := filepath.Join(folder, name)
		must.NoError(t, os.RemoveAll(path))
		if err := put(path); err != nil && !errors.Is(err, fs.ErrExist) { // the solver was quicker
			t.Fatalf("plant %s: %v", path, err)
		}
	}
}

// churn swaps the outputs in a folder without a pause, until the function that
// it returns is called.
func churn(folder string, all map[string]func(string) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			for _, put := range all {
				for _, name := range outputNames {
					path := filepath.Join(folder, name)
					_ = os.RemoveAll(path)
					_ = put(path)
				}
			}
		}
	})
	return func() { cancel(); group.Wait() }
}

// hostileJob runs until it is stopped.
func (s *site) hostileJob(name string) *run {
	s.t.Helper()
	hcl := jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), env: "STANDIN_PACE = \"200ms\""}
	r := &run{s: s, job: name, folder: hcl.folder}
	var err error
	r.alloc, err = s.Run(within(s.t), strings.Replace(hcl.String(), `kill_timeout = "60s"`, `kill_timeout = "5s"`, 1))
	must.NoError(s.t, err)
	return r
}

// While the outputs of many runs are anything but files, other tasks come and
// go, the plugin stays as small as it was, nothing behind a link is shown, and
// every run can be stopped.
func TestDriver_HostileOutputsHarmNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	all := plants(t)
	runs := map[string]*run{}
	for kind := range all {
		runs[kind] = s.hostileJob(strings.ReplaceAll(kind, " ", "-"))
	}
	swapped := s.hostileJob("swapped")
	for _, r := range runs {
		r.wait(api.AllocClientStatusRunning)
		s.waitCycles(r)
	}
	swapped.wait(api.AllocClientStatusRunning)
	s.waitCycles(swapped)
	before := s.pluginPeak()
	for kind, put := range all {
		plant(t, runs[kind].folder, put)
	}
	stop := churn(swapped.folder, all)
	t.Cleanup(stop)

	neighbour := s.submit(jobHCL{name: "neighbour", folder: s.deck("neighbour", "solid_bar_impact")})
	neighbour.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	for _, r := range append([]*run{swapped}, values(runs)...) {
		s.inspects(r.folder)
	}
	s.stopAll(append([]*run{swapped}, values(runs)...))
	stop()
	const most = 128 << 20
	must.Less(t, before+most, s.pluginPeak())
	s.tellsNothingHidden()
}

// A folder full of such things is no place to run in, but to try it is harmless:
// the run ends by itself or can be stopped.
func TestDriver_HostileFolderAtTheStartHarmsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	before := s.pluginPeak()
	var runs []*run
	for kind, put := range plants(t) {
		name := strings.ReplaceAll(kind, " ", "-")
		j := jobHCL{name: name, folder: s.deck(name, "solid_bar_impact")}
		plant(t, j.folder, put)
		runs = append(runs, s.submit(j))
	}
	for _, r := range runs {
		_, err := s.WaitAlloc(within(t), r.alloc, settled)
		must.NoError(t, err, must.Sprint(r.job))
	}
	s.stopAll(runs)
	const most = 128 << 20
	must.Less(t, before+most, s.pluginPeak())
	s.tellsNothingHidden()
}

// stopAll stops runs at the same time. Some may be over: a solver that reads a
// device as its sense switch runs out of memory, which is its own affair.
func (s *site) stopAll(runs []*run) {
	s.t.Helper()
	errs := make([]error, len(runs))
	var group sync.WaitGroup
	for i, r := range runs {
		ctx := within(s.t)
		group.Go(func() { errs[i] = s.StopJob(ctx, r.job, false) })
	}
	group.Wait()
	must.NoError(s.t, errors.Join(errs...))
	for _, r := range runs {
		_, err := s.WaitAlloc(within(s.t), r.alloc, cluster.TaskState("lsdyna", "dead"))
		must.NoError(s.t, err, must.Sprint(r.job))
		must.Len(s.t, 0, r.solvers())
	}
}

func values(runs map[string]*run) []*run {
	var list []*run
	for _, r := range runs {
		list = append(list, r)
	}
	return list
}

// pluginPeak is the most memory, in bytes, that a plugin of the site has had.
func (s *site) pluginPeak() int64 {
	s.t.Helper()
	plugins, err := s.Plugins()
	must.NoError(s.t, err)
	must.SliceNotEmpty(s.t, plugins)
	var peak int64
	for _, p := range plugins {
		fields, err := proc.Status(p.PID, "VmHWM")
		must.NoError(s.t, err)
		kib, err := strconv.ParseInt(strings.Fields(fields)[0], 10, 64)
		must.NoError(s.t, err)
		peak = max(peak, kib<<10)
	}
	return peak
}

// inspects runs the command on a folder. What it finds there may be nothing.
func (s *site) inspects(folder string) {
	s.t.Helper()
	out, most, err := peak.Of(within(s.t), binary(s.t, "nomad-driver-lsdyna"), "inspect", folder, "-json")
	must.NoError(s.t, err)
	must.StrNotContains(s.t, out, hiddenWords)
	must.Between(s.t, 1<<20, most, 128<<20, must.Sprintf("bytes of memory, inspect of %s:\n%s", folder, out))
}

func (s *site) tellsNothingHidden() {
	s.t.Helper()
	must.StrNotContains(s.t, s.LogTail(100<<20), hiddenWords)
	allocs, _, err := s.API.Allocations().List(nil)
	must.NoError(s.t, err)
	for _, stub := range allocs {
		alloc, _, err := s.API.Allocations().Info(stub.ID, nil)
		must.NoError(s.t, err)
		data, err := json.Marshal(alloc)
		must.NoError(s.t, err)
		must.StrNotContains(s.t, string(data), hiddenWords)
		must.StrNotContains(s.t, fmt.Sprint(cluster.Events(alloc, "lsdyna")), "panic")
	}
}
