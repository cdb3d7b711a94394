// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestRead_tellsADeckOfARestart(t *testing.T) {
	for name, c := range map[string]struct {
		main, part string
		whole      bool
		why        string
	}{
		"nothing but the end time":   {main: "*KEYWORD\n*CONTROL_TERMINATION\n0.08\n*END\n"},
		"sets and curves":            {main: "*KEYWORD\n*SET_NODE_LIST\n*SET_PART\n*DEFINE_CURVE\n*DATABASE_NODOUT\n*CHANGE_VELOCITY_NODE\n*DELETE_PART\n*RIGID_DEFORMABLE_D2R\n"},
		"nodes":                      {main: "*KEYWORD\n*NODE\n", whole: true, why: "it defines a model, with *NODE"},
		"small letters, long format": {main: "*KEYWORD\n*element_shell_thickness+\r\n", whole: true, why: "*ELEMENT_SHELL_THICKNESS"},
		"a part":                     {main: "*PART\n", whole: true, why: "*PART"},
		"a material":                 {main: "*MAT_ELASTIC\n", whole: true, why: "*MAT_ELASTIC"},
		"a section":                  {main: "*SECTION_SHELL\n", whole: true, why: "*SECTION_SHELL"},
		"in an include":              {main: "*INCLUDE\npart.k\n", part: "$\n*NODE\n", whole: true, why: "*NODE"},
		"an include of a small one":  {main: "*INCLUDE\npart.k\n", part: "*CONTROL_TERMINATION\n1.\n"},
		"an include that is away":    {main: "*INCLUDE\nmesh.k\n", whole: true, why: "it may define a model, in \"mesh.k\", which cannot be read below the run folder"},
		"an include elsewhere":       {main: "*INCLUDE\n/models/mesh.k\n", whole: true, why: "/models/mesh.k"},
		"a full restart":             {main: "*NODE\n*PART\n*STRESS_INITIALIZATION\n"},
		"a full restart, another":    {main: "*STRESS_INITIALIZATION_DISCRETE\n*NODE\n"},
		"comments":                   {main: "$*NODE\n$ *PART\n *MAT\n"},
		"others that begin so":       {main: "*NODES\n*MATERIAL\n*PARTS\n*PARAMETER\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "main.k", c.main)
			if c.part != "" {
				write(t, dir, "part.k", c.part)
			}
			read, err := Read(t.Context(), filesIn(t, dir), "main.k", &Progress{})
			must.NoError(t, err)
			must.Eq(t, c.whole, read.Whole(), must.Sprintf("%+v", read))
			must.Eq(t, strings.HasPrefix(name, "a full"), read.FromStresses)
			if c.whole {
				must.StrContains(t, read.Why(), c.why)
			}
		})
	}
}
