// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// What a task cannot be recovered with is refused before it runs.
func TestStart_ATaskThatNomadCouldNotHandBackIsRefused(t *testing.T) {
	n := newNode(t)
	j := n.script("exec sleep 3600")
	j.env = map[string]string{}
	for i := range 40 {
		j.env[fmt.Sprint("LARGE", i)] = strings.Repeat("x", 100<<10)
	}
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "put large values into files")
	must.Eq(t, n.cores.Managed(), n.free())
	records, err := n.store.Records()
	must.NoError(t, err)
	must.SliceEmpty(t, records)
}

// A folder with the outputs of very many runs is no hindrance: the run starts, is
// found again with its details, and takes no old output for its own.
func TestStart_InAFolderWithVeryManyOutputs(t *testing.T) {
	n := newNode(t)
	j := n.script("exec sleep 3600")
	j.folder = n.folder(j.files)
	before := time.Now().Add(-time.Hour)
	for i := range 20_000 {
		path := filepath.Join(j.folder, fmt.Sprintf("mes%02d%04d", i/9999, i%9999+1))
		must.NoError(t, os.WriteFile(path, []byte("*** Error 10246 (IN0246)\n"), 0o644))
		must.NoError(t, os.Chtimes(path, before, before))
	}
	r := n.start(j)
	var s state.TaskState
	must.NoError(t, r.handle.GetDriverState(&s))
	must.Less(t, 1<<20, len(s.Details))
	n.restart()
	r.comeBack()
	details, err := r.task().Record().ReadDetails()
	must.NoError(t, err)
	must.Less(t, 1<<20, len(details.Old))
	r.stop()
	must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "10246")
}

// Until the supervisor has moved the streams of the run before aside, they are not the
// new run's, for nobody who reads its record.
func TestStart_TheStreamsOfTheRunBeforeAreOld(t *testing.T) {
	n := newNode(t)
	j := n.script("exec sleep 3600")
	j.folder = n.folder(j.files)
	for _, name := range []string{stdoutName, stderrName} {
		must.NoError(t, os.WriteFile(filepath.Join(j.folder, name), []byte("of the run before\n"), 0o644))
	}
	r := n.start(j)
	details, err := r.task().Record().ReadDetails()
	must.NoError(t, err)
	var old rundir.Outputs
	must.NoError(t, json.Unmarshal(details.Old, &old))
	must.MapContainsKeys(t, old, []string{stdoutName, stderrName})
	r.stop()
}
