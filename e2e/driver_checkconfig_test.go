// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/shoenig/test/must"
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
		out, code := check()
		must.Eq(t, 1, code, must.Sprint(out))
		must.StrContains(t, out, c.says)
		must.StrContains(t, out, fmt.Sprintf("%s:", s.Path("config", "10-harness.hcl")))
	}
	s.Config.PluginConfig = sound
	must.NoError(t, s.Start(within(t)))
}
