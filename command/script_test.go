// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
)

// TestMain makes this test binary the program that the scripts execute. What the
// environment says of the machine's own plugin is not the tests'.
func TestMain(m *testing.M) {
	_ = os.Unsetenv(statedir.Env)
	_ = os.Setenv(statedir.StatusEnv, "")
	testscript.Main(m, map[string]func(){program: func() { os.Exit(Main(os.Args[1:])) }})
}

// TestScripts runs the scripts in testdata/script: the program as operators call it,
// processes, exit codes and all. Each has
//
//	$SYSFS   a machine with two sockets of four cores with two threads
//	$STATE   a state_dir with one running task, whose job has a wide name
//	$RUN     its run folder
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			state := nodetest.StateDir(t)
			run := nodetest.Task{
				Job: "衝突解析", Alloc: allocA, Name: "solve", Cores: []int{0, 1}, Since: time.Hour, Stdout: nodetest.Solving(5, 1e-2),
			}.Make(t, state)
			env.Setenv("SYSFS", twoSockets.Sysfs(t))
			env.Setenv("STATE", state)
			env.Setenv("RUN", run)
			env.Setenv(statedir.StatusEnv, "")
			return nil
		},
	})
}
