// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package inventory

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
)

// disk is what a node has: files and folders by their paths, without the first slash. What
// is below hang does not answer until it is closed.
type disk struct {
	files fstest.MapFS
	hang  chan struct{}
}

func (d disk) stat(path string) (fs.FileInfo, error) {
	if strings.HasPrefix(path, "/hang/") {
		<-d.hang
	}
	return d.files.Stat(strings.TrimPrefix(path, "/"))
}

var whole = fstest.MapFS{
	"opt/smp": {Mode: 0o755}, "opt/mpp": {Mode: 0o755}, "opt/mpirun": {Mode: 0o755}, "opt/ls-dyna_smp_s_R14": {Mode: 0o755},
	"opt/lstc_qrun": {Mode: 0o755}, "opt/LICENSE": {Mode: 0o600}, "opt/text": {Mode: 0o644},
	"scratch": {Mode: fs.ModeDir | 0o755}, "fast": {Mode: fs.ModeDir | 0o755},
}

// take takes the inventory of a node.
func take(t *testing.T, node *settings.Settings) Inventory {
	t.Helper()
	d := disk{whole, make(chan struct{})}
	checker := solvercheck.New(d.stat)
	i := Take(t.Context(), checker, node)
	close(d.hang)
	must.NoError(t, checker.Wait(t.Context()))
	return i
}

func TestTake_TellsWhatIsMissing(t *testing.T) {
	smp := lsdyna.Solver{Name: "smp", Path: "/opt/smp"}
	mpp := lsdyna.Solver{Name: "mpp", Path: "/opt/mpp", Parallel: lsdyna.MPP, MPIRun: "/opt/mpirun"}
	with := func(s lsdyna.Solver, path, launcher string) lsdyna.Solver {
		s.Path, s.MPIRun = path, launcher
		return s
	}
	for name, c := range map[string]struct {
		node    settings.Settings
		has     string   // of the solvers, by their places: "1" or "0"
		roots   []string // that are there
		missing []string // key: text, of solvers, roots and others
	}{
		"nothing is named": {settings.Settings{}, "", nil, nil},
		"all is there": {settings.Settings{
			Solvers: []lsdyna.Solver{smp, mpp}, WorkRoots: []string{"/scratch", "/fast"},
			License: &license.Config{Type: "network", Server: "31010@lic1", QRun: "/opt/lstc_qrun"},
		}, "11", []string{"/scratch", "/fast"}, nil},
		"a solver": {
			settings.Settings{Solvers: []lsdyna.Solver{with(smp, "/opt/none", ""), mpp}},
			"01", nil,
			[]string{`solver.smp: solver "smp": open opt/none: file does not exist`},
		},
		"a launcher": {
			settings.Settings{Solvers: []lsdyna.Solver{smp, with(mpp, "/opt/mpp", "/opt/none")}},
			"10", nil,
			[]string{`solver.mpp: solver "mpp": open opt/none: file does not exist`},
		},
		"a solver and its launcher are told once": {
			settings.Settings{Solvers: []lsdyna.Solver{with(mpp, "/opt/none", "/opt/nothing"), smp}},
			"01", nil,
			[]string{`solver.mpp: solver "mpp": open opt/none: file does not exist`},
		},
		"a solver is no executable": {
			settings.Settings{Solvers: []lsdyna.Solver{with(smp, "/opt/text", "")}},
			"0", nil,
			[]string{`solver.smp: solver "smp": /opt/text is not an executable file`},
		},
		"a work root": {
			settings.Settings{WorkRoots: []string{"/none", "/scratch", "/opt/text"}},
			"",
			[]string{"/scratch"},
			[]string{
				"work_roots: work_roots: open none: file does not exist: mount or make it, or take it out of work_roots",
				"work_roots: work_roots: /opt/text is not a folder: mount or make it, or take it out of work_roots",
			},
		},
		"qrun": {
			settings.Settings{License: &license.Config{Type: "network", Server: "lic1", QRun: "/opt/text"}},
			"", nil,
			[]string{"license.qrun: license: qrun: /opt/text is not an executable file: runs start without a look at free licences; name lstc_qrun, or take qrun out"},
		},
		"a licence file is there": {settings.Settings{License: &license.Config{Type: "local", Server: "/opt/LICENSE"}}, "", nil, nil},
		"a licence file": {
			settings.Settings{License: &license.Config{Type: "local", Server: "/opt/s3cret"}},
			"", nil,
			[]string{"license.server: license: the licence file that server names is not there: solvers find no licence; put it there, or name another"},
		},
		"a name that is no path":     {settings.Settings{License: &license.Config{Type: "local", Server: "s3cret"}}, "", nil, nil},
		"a server's name is no file": {settings.Settings{License: &license.Config{Type: "network", Server: "/opt/s3cret"}}, "", nil, nil},
		"a build that is another": {
			settings.Settings{Solvers: []lsdyna.Solver{with(smp, "/opt/ls-dyna_smp_s_R14", "")}},
			"1", nil,
			[]string{`solver.smp.precision: solver "smp": by its name ls-dyna_smp_s_R14 is of single precision`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := take(t, &c.node)
			for n := range c.node.Solvers {
				must.Eq(t, c.has[n] == '1', i.HasSolver(n))
			}
			must.Eq(t, c.roots, i.WorkRoots())
			var told []string
			for _, lacks := range [][]Lack{i.MissingSolvers(), i.MissingRoots(), i.Others()} {
				for _, lack := range lacks {
					told = append(told, fmt.Sprintf("%s: %s", lack.Key, lack.Text))
				}
			}
			must.Len(t, len(c.missing), told, must.Sprint(told))
			for n, want := range c.missing {
				must.True(t, strings.HasPrefix(told[n], want), must.Sprint(told[n]))
				must.StrNotContains(t, told[n], "s3cret") // its path is a secret, as a server's name is
			}
		})
	}
}

// What does not answer may be there: nobody is told to take it out or to name another. The
// text names a point in time, so that a node's health does not change by it.
func TestTake_OfWhatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &settings.Settings{
			Solvers:   []lsdyna.Solver{{Name: "net", Path: "/hang/smp"}, {Name: "own", Path: "/opt/smp"}},
			WorkRoots: []string{"/hang/scratch", "/scratch"},
			License:   &license.Config{Type: "local", Server: "/hang/s3cret", QRun: "/hang/qrun"},
		}
		d := disk{whole, make(chan struct{})}
		checker := solvercheck.New(d.stat)
		defer func() {
			close(d.hang)
			must.NoError(t, checker.Wait(t.Context()))
		}()
		texts := func() (all []string) {
			i := Take(t.Context(), checker, node)
			must.False(t, i.HasSolver(0))
			must.True(t, i.HasSolver(1), must.Sprint("what hangs elsewhere does not matter"))
			must.Eq(t, []string{"/scratch"}, i.WorkRoots())
			for _, lacks := range [][]Lack{i.MissingSolvers(), i.MissingRoots(), i.Others()} {
				all = append(all, Texts(lacks)...)
			}
			return all
		}
		since := time.Now().Format(time.DateTime)
		first := texts()
		must.Len(t, 4, first)
		for _, text := range first {
			must.StrContains(t, text, "does not answer since "+since)
			must.StrNotContains(t, text, "take")
			must.StrNotContains(t, text, "not there")
			must.StrNotContains(t, text, "s3cret")
		}
		must.Eq(t, first, texts())
	})
}
