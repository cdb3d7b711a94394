// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package board

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/glstat"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// log is what a board logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start has a board tell of a node without runs, often.
func start(t *testing.T, dir string) (b *Board, end func(), said *log) {
	t.Helper()
	cores, err := placement.New(placement.Settings{CgroupRoot: t.TempDir()}, hclog.NewNullLogger())
	must.NoError(t, err)
	said = &log{}
	b = New(hclog.New(&hclog.LoggerOptions{Output: said}))
	b.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	end = func() {
		cancel()
		<-b.Ended()
	}
	t.Cleanup(end)
	b.Start(ctx, Options{Dir: dir, StateDir: "/srv/lsdyna", Runs: runs.New(), Cores: cores})
	return b, end, said
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(is), wait.Timeout(2*time.Minute), wait.Gap(5*time.Millisecond)), must.Sprint(what))
}

// tells reports whether a living plugin tells something in a folder.
func tells(dir string) bool {
	n, err := public.ReadNode(dir)
	return err == nil && n.Doubt(procfs.Root, public.Uptime()) == ""
}

func statusDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "status")
}

func TestBoard_tellsForAsLongAsItIsWanted(t *testing.T) {
	dir := statusDir(t)
	_, end, said := start(t, dir)
	eventually(t, "it tells", func() bool { return tells(dir) })
	before, err := public.ReadNode(dir)
	must.NoError(t, err)
	must.Eq(t, "/srv/lsdyna", before.StateDir)
	eventually(t, "it tells again", func() bool {
		now, err := public.ReadNode(dir)
		return err == nil && now.Written.After(before.Written)
	})
	end()
	must.Eq(t, "", said.String())
	d, err := public.Open(dir)
	must.NoError(t, err, must.Sprint("the next plugin can have it"))
	must.NoError(t, d.Close())
}

func TestBoard_tellsNothingWhereNothingIsWanted(t *testing.T) {
	b, _, said := start(t, "")
	<-b.Ended()
	must.Eq(t, "", said.String())
}

// Another plugin has the folder, then ends.
func TestBoard_waitsForAnotherPlugin(t *testing.T) {
	dir := statusDir(t)
	other, err := public.Open(dir)
	must.NoError(t, err)
	_, _, said := start(t, dir)
	eventually(t, "it says why", func() bool { return strings.Contains(said.String(), "another plugin has status_dir") })
	must.False(t, public.Is(dir))
	must.NoError(t, other.Close())
	eventually(t, "it tells", func() bool { return tells(dir) })
	must.Eq(t, 1, strings.Count(said.String(), "another plugin has status_dir"))
}

// Somebody clears /run while the plugin lives.
func TestBoard_makesTheFolderAgain(t *testing.T) {
	dir := statusDir(t)
	start(t, dir)
	eventually(t, "it tells", func() bool { return tells(dir) })
	eventually(t, "it is cleared", func() bool { return os.RemoveAll(dir) == nil }) // not while a file is put there
	eventually(t, "it tells again", func() bool { return tells(dir) })
}

// What status makes of the snapshot that an owner is told is what it would make of the run's
// own.
func TestTold_isAsHealthyAsTheRun(t *testing.T) {
	var stats glstat.Reader
	for _, block := range []string{"1.00000E-03", "2.00000E-03"} {
		_, _ = stats.Write([]byte(" dt of cycle       10 is controlled by shell      4711 of part        12\n time...........................   " + block +
			"\n time step......................   1.00000E-06\n kinetic energy.................   5.00000E+02\n internal energy................   4.00000E+02\n" +
			" hourglass energy ..............   8.00000E+01\n total energy...................   9.80000E+02\n total energy / initial energy..   1.25000E+00\n added mass.....................   3.00000E-02\n percentage increase............   7.00000E+00\n"))
	}
	var r output.Reader
	_, _ = r.Write([]byte(" *** Warning 21129 (STR+1129)\n     shell element, ID 1\n \n *** Warning 21129 (STR+1129)\n     shell element, ID 2\n \n" +
		"       1 t 1.0000E-03 dt 1.00E-06 flush i/o buffers            04/14/26 09:00:34\n"))
	s := output.Combine([]output.Source{{Kind: "stdout", Facts: r.Final()}})
	s.Energies, s.Written = stats.Stats(), time.Now()

	now := s.Written.Add(time.Hour)
	want := s.Health(now)
	must.Eq(t, 1.25, *want.Ratio)
	must.Len(t, 1, want.Kinds)
	must.Len(t, 4, want.Notes, must.Sprint(want.Notes))
	var back output.Snapshot
	data := told(s)
	must.NoError(t, json.Unmarshal(data, &back))
	must.Eq(t, want, back.Health(now))
	must.SliceEmpty(t, back.Energies.Series)
	must.Len(t, 2, s.Energies.Series, must.Sprint("what is told of is not changed"))

	s.Energies = nil
	must.NoError(t, json.Unmarshal(told(s), &output.Snapshot{}))
	s.Time = math.Inf(1)
	must.Eq(t, 0, len(told(s)))
}
