// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// What check-config passes starts a real agent, and what it refuses stops one: by the
// schema, and by the driver's own checks.
func TestDriver_CheckConfigSaysWhatTheAgentDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	check := func() (out string, code int) {
		cmd := exec.CommandContext(within(t), s.PluginPath(), "check-config", "-config", s.Path("config", "10-harness.hcl"), "-config="+s.Path("config", "20-test.hcl"))
		text, err := cmd.CombinedOutput()
		if err != nil {
			must.Positive(t, cmd.ProcessState.ExitCode(), must.Sprint(err))
		}
		return string(text), cmd.ProcessState.ExitCode()
	}
	out, code := check() // of the agent that runs
	must.Eq(t, 0, code, must.Sprint(out))
	must.StrContains(t, out, "solver.standin.path")
	must.NoError(t, s.Terminate(within(t)))

	sound := s.Config.PluginConfig
	for _, c := range []struct{ change, says string }{
		{"max_processes = \"32k\"", "max_processes: a number is required"},
		{"denied_host_uid = \"0\"", `there is no key "denied_host_uid"; did you mean "denied_host_uids"?`},
		{"cores {\n smt = \"isolat\"\n}", `did you mean "isolate"?`},
	} {
		s.Config.PluginConfig = sound + "\n" + c.change + "\n"
		err := s.Start(within(t))
		must.Error(t, err, must.Sprint(c.change))
		must.False(t, s.Running())
		must.NoError(t, cluster.Poll(within(t), "the end of the plugin that nobody knows", func() (bool, string, error) {
			plugins, err := s.Plugins()
			return len(plugins) == 0, fmt.Sprint(plugins), err
		}))
		out, code := check()
		must.Eq(t, 1, code, must.Sprint(out))
		must.StrContains(t, out, c.says)
		must.StrContains(t, out, fmt.Sprintf("%s:", s.Path("config", "10-harness.hcl")))
	}
	s.Config.PluginConfig = sound
	must.NoError(t, s.Start(within(t)))
}

// Whatever form the files of an agent have, check-config refuses those that the agent's own
// parser refuses, and no others.
func TestDriver_CheckConfigReadsFilesAsNomadDoes(t *testing.T) {
	t.Parallel()
	const (
		agent  = "data_dir = \"/srv/nomad\"\nclient {\n enabled = true\n}\n"
		block  = "config {\n allow_command = true\n}\n"
		plugin = "plugin \"nomad-driver-lsdyna\" {\n" + block + "}\n"
	)
	for name, c := range map[string]struct {
		files   []string
		refused bool
	}{
		"a plugin block":                {[]string{agent + plugin}, false},
		"in a file of its own":          {[]string{agent, plugin}, false},
		"a config block in no plugin":   {[]string{agent, block}, true},
		"among the agent's":             {[]string{agent + block}, true},
		"settings in no block":          {[]string{agent, "allow_command = true\n"}, true},
		"settings beside the block":     {[]string{agent, plugin + "work_roots = []\n"}, true},
		"a second label":                {[]string{agent, "plugin \"nomad-driver-lsdyna\" \"x\" {\n}\n" + plugin}, true},
		"a block of another name":       {[]string{agent, plugin, "plugin \"nomad-driver-lsdyna\" {\n confg {\n }\n}\n"}, false},
		"two config blocks":             {[]string{agent, "plugin \"nomad-driver-lsdyna\" {\n" + block + block + "}\n"}, false},
		"two plugin blocks":             {[]string{agent, plugin + plugin}, false},
		"a config that is no block":     {[]string{agent, "plugin \"nomad-driver-lsdyna\" {\n config = \"x\"\n}\n"}, true},
		"an = before the block":         {[]string{agent, "plugin \"nomad-driver-lsdyna\" = {\n}\n"}, true},
		"JSON":                          {[]string{agent, `{"plugin": {"nomad-driver-lsdyna": {"config": {"allow_command": true, "cores": {"smt": "share"}}}}}`}, false},
		"JSON of lists":                 {[]string{agent, `{"plugin": [{"nomad-driver-lsdyna": [{"config": [{"cores": [{"smt": "share"}]}]}]}]}`}, false},
		"JSON beside args":              {[]string{agent, `{"plugin": {"nomad-driver-lsdyna": {"args": [], "config": {"cores": {"smt": "share"}}}}}`}, false},
		"JSON of blocks alone":          {[]string{agent, `{"plugin": {"nomad-driver-lsdyna": {"config": {"cores": {"smt": "share"}}}}}`}, true},
		"JSON of a block beside config": {[]string{agent, `{"plugin": {"nomad-driver-lsdyna": {"confg": {"a": 1}, "config": {"allow_command": true}}}}`}, true},
		"JSON's null":                   {[]string{agent, `{"plugin": {"nomad-driver-lsdyna": {"config": null}}}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, text := range c.files {
				must.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.hcl", i)), []byte(text), 0o600))
			}
			refused := func(program string, args ...string) bool {
				out, err := exec.CommandContext(within(t), binary(t, program), append(args, dir)...).CombinedOutput()
				t.Logf("%s: %v\n%s", program, err, out)
				return err != nil
			}
			must.Eq(t, c.refused, refused("nomad", "config", "validate"))
			must.Eq(t, c.refused, refused("nomad-driver-lsdyna", "check-config"))
		})
	}
}
