// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/tally"
)

// facts reads a text.
func facts(text string) Facts {
	var r Reader
	_, _ = r.Write([]byte(text))
	return r.Final()
}

func TestReader_kindsOfWarnings(t *testing.T) {
	f := facts(` *** Warning 21129 (STR+1129)
     shell element, ID 1 violates heuristic shape criterion
     area/(longest diagonal)/(longest diagonal) equals: 6.2257E-02

 *** Warning 60303 (IMP+303)
     Using IGAP=1 may result in zero contact forces.
 contracting memory to      201045 d     7671226 contact segment data 1

 *** Warning 21129 (STR+1129)
     shell element, ID 2 violates heuristic shape criterion

 *** Warning without a number
 *** Warning 21129 (STR+1129)
       3 t 2.0000E-01 dt 1.00E-01 begin thermal step           05/20/26 15:06:14
`)
	must.Eq(t, 4, f.Warnings)
	must.Eq(t, []tally.Kind{
		{Code: 21129, Class: "STR", Text: "shell element, ID 1 violates heuristic shape criterion area/(longest diagonal)/(longest diagonal) equals: 6.2257E-02", Count: 3},
		{Code: 60303, Class: "IMP", Text: "Using IGAP=1 may result in zero contact forces.", Count: 1},
	}, f.Kinds.Top(10))
	must.Eq(t, 0.2, f.Time, must.Sprint("a line behind a warning was taken for its text"))
}

func TestReader_massOfTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Mass
	}{
		"R14":          {" calculation with mass scaling for minimum dt\n    added mass   =   2.1060E-04\n    physical mass=   1.4040E-03\n    ratio        =   1.5000E-01\n", Mass{true, 2.106e-4, 15.000000000000002}},
		"a percentage": {" added mass          =   3.6000E-04\n percentage increase =   2.2936E+04\n", Mass{true, 3.6e-4, 22936}},
		"the echo":     {"    number of parts with added mass................       0\n    fraction of added mass contributing to gravity.    0.0000E+00\n", Mass{}},
	} {
		t.Run(name, func(t *testing.T) {
			m := facts(c.text).Mass
			must.Eq(t, c.want.HasAddedMass, m.HasAddedMass)
			must.Eq(t, c.want.AddedMass, m.AddedMass)
			must.Less(t, 1e-9, max(m.AddedMassPercent-c.want.AddedMassPercent, c.want.AddedMassPercent-m.AddedMassPercent))
		})
	}
}

func TestReader_signsThatTheSolutionGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int64
	}{
		"cycles":        {"     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n     101 t 1.0100E-02 dt 1.00E-04 write d3plot file            12/21/25 20:15:17\n", 2},
		"a step":        {" BEGIN implicit statics  step      1 t= 1.0000E-01             05/20/26 15:05:48\n Iteration:   1     *|du|/|u| =  1.0000000E+00     *Ei/E0 =  1.0000000E+00\n Iteration:   2     *|du|/|u| =  8.4137635E-02     *Ei/E0 =  9.7226136E-03\n Equilibrium established after     2 iterations                05/20/26 15:05:58\n", 4},
		"anything else": {" expanding   memory to      322848 d     8879188 implicit tied contact storage\n *** Warning 1 (KEY+1)\n", 0},
	} {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, facts(c.text).Signs) })
	}
}

func TestCombine_healthOfAllSources(t *testing.T) {
	stdout := facts(" *** Warning 1 (KEY+1)\n     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n")
	messag := facts(" *** Warning 1 (KEY+1)\n *** Warning 2 (KEY+2)\n *** Warning 2 (KEY+2)\n     100 t 1.0000E-02 dt 5.00E-04 flush i/o buffers            12/21/25 20:15:16\n     101 t 1.0100E-02 dt 2.00E-04 flush i/o buffers            12/21/25 20:15:17\n")
	s := Combine([]Source{{Name: "stdout", Kind: lsdyna.KindStdout, Facts: stdout}, {Name: "messag", Kind: lsdyna.KindMessag, Facts: messag}})
	must.Eq(t, 2, s.Kinds.Top(1)[0].Code)
	must.Eq(t, 3, s.Signs)
	must.Eq(t, 5e-4, s.LargestDt)
	must.Eq(t, 2e-4, s.Dt)
	h := s.Health(time.Time{})
	must.Eq(t, 2e-4, *h.Dt)
	must.Len(t, 2, h.Kinds)
	must.Nil(t, h.Quiet)

	s.Written = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	must.Eq(t, 90, *s.Health(s.Written.Add(90 * time.Second)).Quiet)
	must.Eq(t, 0, *s.Health(s.Written.Add(-time.Hour)).Quiet, must.Sprint("of a folder whose clock is ahead"))
}
