// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

func TestCheckConfig(t *testing.T) {
	before := CheckConfig
	t.Cleanup(func() { CheckConfig = before })
	bad := findings.Finding{File: "/etc/nomad.d/lsdyna.hcl", Line: 7, Key: "cores.smt", Text: "cores: smt is \"off\"\x1b[2J"}
	warning := findings.Finding{Text: "telemetry: …"}
	sound := []findings.Setting{{Key: "cores.smt", Value: "isolate", Default: true}, {Key: "work_roots"}}
	for name, c := range map[string]struct {
		args   []string
		report findings.Report
		asked  findings.Request
		code   int
		out    string
	}{
		"an error": {
			[]string{"/etc/nomad.d"},
			findings.Report{Errors: []findings.Finding{bad}},
			findings.Request{Paths: []string{"/etc/nomad.d"}},
			exitNo,
			"/etc/nomad.d/lsdyna.hcl:7: error: cores: smt is \"off\"?[2J\n1 error: the agent, or the driver in it, would not start with this.\n",
		},
		"a warning": {
			[]string{"a.hcl", "-plugin-dir", "/p", "b.hcl"},
			findings.Report{Warnings: []findings.Finding{warning}, Notes: []string{"not looked at"}, Settings: sound},
			findings.Request{Paths: []string{"a.hcl", "b.hcl"}, PluginDir: "/p"},
			exitOK,
			"warning: telemetry: …\nnote: not looked at\nThe driver takes:\n  cores.smt   isolate  (default)\n  work_roots  \"\"\nNo error, 1 warning.\n",
		},
		"nothing, called as the agent is": {
			[]string{"-config", "a.hcl", "-config=b", "-data-dir=/d"},
			findings.Report{},
			findings.Request{Paths: []string{"a.hcl", "b"}, DataDir: "/d"},
			exitOK,
			"No error, no warning.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked findings.Request
			CheckConfig = func(_ context.Context, r findings.Request) findings.Report {
				asked = r
				return c.report
			}
			var out, errs bytes.Buffer
			must.Eq(t, c.code, Run(t.Context(), append([]string{"check-config"}, c.args...), &out, &errs))
			must.Eq(t, c.out, out.String())
			must.Eq(t, "", errs.String())
			must.Eq(t, c.asked, asked)

			out.Reset()
			must.Eq(t, c.code, Run(t.Context(), append([]string{"check-config", "-json"}, c.args...), &out, &errs))
			var got findings.Report
			must.NoError(t, json.Unmarshal(out.Bytes(), &got))
			must.Eq(t, fmt.Sprintf("%+v", c.report), fmt.Sprintf("%+v", got)) // of no list as of an empty one
			must.StrNotContains(t, out.String(), "null", must.Sprint("jq '.errors[]' stops there"))
		})
	}
}

func TestCheckConfig_NeedsFiles(t *testing.T) {
	var out, errs bytes.Buffer
	must.Eq(t, exitUsage, Run(t.Context(), []string{"check-config"}, &out, &errs))
	must.StrContains(t, errs.String(), "name the files and folders that the agent gets with -config")
}
