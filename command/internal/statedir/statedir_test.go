// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package statedir

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// telling is a status_dir whose plugin tells its state_dir.
func telling(t *testing.T, stateDir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "status")
	d, err := public.Open(path)
	must.NoError(t, err)
	must.NoError(t, d.Write(public.Node{StateDir: stateDir}, nil))
	must.NoError(t, d.Close())
	return path
}

func TestDir(t *testing.T) {
	there := t.TempDir()
	gone := filepath.Join(there, "gone")
	tells := telling(t, there)
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"nobody says anything":               {map[string]string{StatusEnv: ""}, nil, Default},
		"no plugin tells":                    {map[string]string{StatusEnv: gone}, nil, Default},
		"the plugin tells":                   {map[string]string{StatusEnv: tells}, nil, there},
		"the plugin tells where the call is": {map[string]string{StatusEnv: gone}, []string{"-status-dir", tells}, there},
		"what the plugin told is gone":       {map[string]string{StatusEnv: telling(t, gone)}, nil, Default},
		"the environment comes before":       {map[string]string{StatusEnv: tells, Env: "/a/b/"}, nil, "/a/b"},
		"the call comes before all":          {map[string]string{StatusEnv: tells, Env: "/a"}, []string{"-state-dir", "/c//d"}, "/c/d"},
		"an empty one says nothing":          {map[string]string{StatusEnv: tells, Env: ""}, nil, there},
	} {
		t.Run(name, func(t *testing.T) {
			must.NoError(t, os.Unsetenv(Env))
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			call := Flag(flags)
			call.StatusFlag(flags)
			must.NoError(t, flags.Parse(c.args))
			must.Eq(t, c.want, call.Dir())
			must.Eq(t, len(c.args) > 0 && c.args[0] == "-state-dir", call.InCall())
			must.Eq(t, call.InCall() || c.env[Env] != "", call.Named())
		})
	}
}

func TestFlag_hasToNameAFolder(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	Flag(flags)
	must.ErrorContains(t, flags.Parse([]string{"-state-dir", ""}), "name the agent's state_dir")
}
