// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// folderWith makes a run folder with files, the first the oldest.
func folderWith(t *testing.T, names ...string) *rundir.Folder {
	t.Helper()
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	for i, name := range names {
		path := filepath.Join(dir, name)
		must.NoError(t, os.WriteFile(path, []byte("x"), 0o644))
		must.NoError(t, os.Chtimes(path, at, at.Add(time.Duration(i)*time.Minute)))
	}
	f, err := rundir.Open(dir, ".")
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestCheckDump(t *testing.T) {
	f := folderWith(t, "d3dump03.0000", "d3dump03.0002", "d3full01", "d3dump01", "d3dump02.0000", "d3dump02.0001", "main.k")
	must.NoError(t, os.WriteFile(filepath.Join(f.Path(), "j.runrsf"), nil, 0o644))
	const there = "dumps there, the newest first: j.runrsf, d3dump02, d3dump01, d3full01, d3dump03. Name one of them, or set restart to \"auto\" or \"never\""
	smp, mpp := lsdyna.Solver{Name: "smp", Parallel: lsdyna.SMP}, lsdyna.Solver{Name: "mpp", Parallel: lsdyna.MPP}
	for name, c := range map[string]struct {
		dump   string
		solver lsdyna.Solver
		ranks  int
		want   string
	}{
		"one file":                      {"d3dump01", smp, 0, ""},
		"one file, of MPP":              {"d3full01", mpp, 4, ""},
		"a file for each rank":          {"d3dump02", mpp, 2, ""},
		"ranks not known":               {"d3dump02", mpp, 0, ""},
		"not there":                     {"d3dump09", smp, 0, "restart: there is no d3dump09 in the run folder " + f.Path() + "; " + there},
		"no dump":                       {"main.k", smp, 0, "restart = \"main.k\" is neither \"auto\" nor \"never\" nor the name of a dump, such as d3dump01; " + there},
		"a word":                        {"always", smp, 0, "restart = \"always\" is neither"},
		"other ranks":                   {"d3dump02", mpp, 4, "d3dump02 in the run folder " + f.Path() + " is of a run with 2 ranks, and this one has 4: a restart needs as many"},
		"of MPP, and the solver is SMP": {"d3dump02", smp, 0, "is of an MPP run, with a file for each of its ranks (2), and solver \"smp\" is SMP"},
		"a rank's file is missing":      {"d3dump03", mpp, 0, "d3dump03 in the run folder " + f.Path() + " is not whole: files there: 2, and each rank (3) needs one with content"},
		"empty":                         {"j.runrsf", smp, 0, "j.runrsf in the run folder " + f.Path() + " is not whole: files there: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkDump(f, c.dump, c.solver, c.ranks)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
			must.False(t, structs.IsRecoverable(err))
		})
	}
}

func TestCheckDump_NamesTheNewestDumps(t *testing.T) {
	var names, newest []string
	for i := 1; i <= 12; i++ {
		names = append(names, fmt.Sprintf("d3dump%02d", i))
	}
	for i := 12; i > 2; i-- {
		newest = append(newest, fmt.Sprintf("d3dump%02d", i))
	}
	err := checkDump(folderWith(t, names...), "d3dump99", lsdyna.Solver{}, 0)
	must.ErrorContains(t, err, "the newest first: "+strings.Join(newest, ", ")+" and 2 older ones. Name one")
	f := folderWith(t, "main.k")
	must.ErrorContains(t, checkDump(f, "d3dump01", lsdyna.Solver{}, 0), "there are no dumps in "+f.Path()+": is work_dir the folder of that run?")
}

// A run that has begun with the dump goes on from its own: the named one may be gone.
func TestCheckNamed_LeavesARunThatBeganThereToChoose(t *testing.T) {
	f := folderWith(t, "main.k")
	must.ErrorContains(t, CheckNamed(f, "d3dump01", lsdyna.Solver{}), "there is no d3dump01")
	must.NoError(t, f.WriteRecord(rundir.Record{From: &rundir.Beginning{Dump: "d3dump01"}}))
	must.NoError(t, CheckNamed(f, "d3dump01", lsdyna.Solver{}))
	must.ErrorContains(t, CheckNamed(f, "d3dump02", lsdyna.Solver{}), "there is no d3dump02")
}
