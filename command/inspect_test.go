// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func runFolder(t *testing.T, stdout string) string {
	t.Helper()
	dir := t.TempDir()
	topologytest.WriteFile(t, filepath.Join(dir, "stdout"), stdout)
	return dir
}

func TestInspect_jsonHasAllKeysForEachPath(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	r := call(t, "inspect", dir, "-json", filepath.Join(dir, "stdout"))
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	decoder := json.NewDecoder(strings.NewReader(r.out))
	for _, path := range []string{dir, filepath.Join(dir, "stdout")} {
		var got map[string]any
		must.NoError(t, decoder.Decode(&got))
		must.Eq(t, path, got["path"].(string))
		must.Eq(t, []any{"unknown", 0.004, 0.01, 4001.0, "smp", "double", nil, nil},
			[]any{got["outcome"], got["time"], got["end_time"], got["cycle"], got["parallel"], got["precision"], got["first_error"], got["eta_seconds"]})
		for _, key := range []string{"reason", "version", "processors", "warnings", "errors", "restart_file", "elapsed_seconds"} {
			must.MapContainsKey(t, got, key)
		}
	}
	must.False(t, decoder.More())
}

func TestInspect_aRunThatLivesHasAnETA(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	var got output.Report
	must.NoError(t, json.Unmarshal([]byte(call(t, "inspect", dir, "-running", "-json").out), &got))
	must.Eq(t, output.Running, got.Outcome)
	must.Eq(t, 60.0, *got.ETASeconds)
	must.Between(t, 30, *got.ETALowSeconds, 60)
	must.Between(t, 60, *got.ETAHighSeconds, 120)
	must.Nil(t, got.NoETA)
}

func TestInspect_drawsATable(t *testing.T) {
	t.Setenv("COLUMNS", "120")
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	t.Chdir(dir)
	r := call(t, "inspect", "-running", ".", "stdout")
	must.Eq(t, exitOK, r.code)
	lines := strings.Split(r.out, "\n")
	must.Eq(t, "PATH    OUTCOME   TIME  END TIME  DONE  CYCLE  ELAPSED    ETA  BETWEEN    ERRORS  WARNINGS", lines[0])
	must.Eq(t, ".       running  0.004      0.01  40 %   4001      40s  1m00s  48s-1m23s       0         0", lines[1])
	must.Eq(t, "stdout  running  0.004      0.01  40 %   4001      40s  1m00s  48s-1m23s       0         0", lines[2])
	must.StrContains(t, r.out, "\n\n.\nrunning: t = 0.004 of 0.01")
	must.StrContains(t, r.out, "\nabout 1m00s left (48s to 1m23s)\n")
	must.StrContains(t, r.out, "\nLS-DYNA R14")
	t.Setenv("COLUMNS", "40")
	for l := range strings.Lines(call(t, "inspect", ".", "-running").out) {
		must.LessEq(t, 41, len(l), must.Sprint(l))
	}
}

func TestInspect_tellsWhatItCannotReadAndGoesOn(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(5, 1e-2))
	r := call(t, "inspect", "/nonexistent", dir, "-json")
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "inspect: /nonexistent: ")
	must.StrContains(t, r.out, `"outcome": "unknown"`)
	r = call(t, "inspect", t.TempDir())
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "holds no LS-DYNA output")
	must.Eq(t, "", r.out)
}

func TestInspect_showsNoControlCharactersOfUsers(t *testing.T) {
	dir := runFolder(t, nodetest.Solving(2, 1e-2)+" *** Error 40500 (SOL+500)\n     negative \x1b[2Jvolume\n")
	out := call(t, "inspect", dir).out
	must.StrNotContains(t, out, "\x1b")
	must.StrContains(t, out, "40500")
}

func TestInspect_interrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out, errout bytes.Buffer
	must.Eq(t, exitNo, Run(ctx, []string{"inspect", runFolder(t, nodetest.Solving(5, 1e-2)), "-json"}, &out, &errout))
	must.Eq(t, "nomad-driver-lsdyna inspect: interrupted\n", errout.String())
	must.Eq(t, "", out.String())
}
