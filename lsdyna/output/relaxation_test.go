// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// cycles are progress lines, one every ten seconds, a thousand cycles and dt apart.
func cycles(from, to int, dt float64, event string) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&b, "%8d t %.4E dt %.2E %-29s03/02/25 10:%02d:%02d\n", 1000*n, float64(n)*dt, dt/1000, event, 10+n/6, n%6*10)
	}
	return b.String()
}

func TestReader_dynamicRelaxation(t *testing.T) {
	const (
		begin = "      Date: 03/02/2025      Time: 10:10:00  \n     |  Version : smp d R13       |\n termination time                  = 2.000E-02\n"
		echo  = "   dynamic relaxation factor......................    0.9950E+00\n   swe.    stop dynamic relaxation just as though convergence\n"
	)
	for name, c := range map[string]struct {
		text     string
		relaxing bool
	}{
		"none":                        {begin + echo + cycles(1, 5, 1e-3, "flush i/o buffers"), false},
		"its plot file":               {begin + cycles(1, 5, 1e-3, "write d3drlf file"), true},
		"time beyond the end":         {begin + cycles(1, 30, 1e-3, "flush i/o buffers"), true},
		"a little beyond the end":     {begin + cycles(1, 21, 1e-3, "flush i/o buffers"), false},
		"words":                       {begin + " Dynamic relaxation phase begins\n" + cycles(1, 5, 1e-3, "flush i/o buffers"), true},
		"words of its end":            {begin + " dynamic relaxation phase begins\n" + cycles(1, 5, 1e-3, "flush i/o buffers") + " dynamic relaxation converged\n", false},
		"it has not converged yet":    {begin + " dynamic relaxation phase begins\n" + cycles(1, 5, 1e-3, "flush i/o buffers") + " dynamic relaxation has not converged\n", true},
		"the transient has begun":     {begin + cycles(1, 30, 1e-3, "write d3drlf file") + cycles(1, 3, 1e-4, "write d3plot file"), false},
		"an output without end times": {strings.Replace(begin, " termination", " other", 1) + cycles(1, 30, 1e-3, "flush i/o buffers"), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := Combine([]Source{read(lsdyna.KindStdout, c.text)})
			must.Eq(t, c.relaxing, s.Relaxing)
			if c.relaxing {
				must.False(t, s.HasETA)
				must.StrContains(t, s.NoETA, "dynamic relaxation")
				must.StrContains(t, s.Summary(), "dynamic relaxation at t = ")
				must.StrContains(t, Decide(s, Exit{Running: true}).Reason, "dynamic relaxation")
			}
		})
	}
	// The pace is the transient's alone.
	s := Combine([]Source{read(lsdyna.KindStdout, begin+cycles(1, 30, 1e-3, "write d3drlf file")+cycles(31, 40, 1e-4, "write d3plot file"))})
	must.True(t, s.Relaxing, must.Sprint("its cycles were not counted anew"))
	// An output that does not tell the end time may be the newest.
	s = Combine([]Source{read(lsdyna.KindStdout, begin), read(lsdyna.KindMessag, strings.Replace(begin, " termination", " other", 1)+cycles(1, 30, 1e-3, "flush i/o buffers"))})
	must.True(t, s.Relaxing)
}

func TestDecide_anAskedNumberOfCycles(t *testing.T) {
	const end = "\n N o r m a l    t e r m i n a t i o n                          03/02/25 10:02:05\n\n Problem time       =    2.0000E-01\n Problem cycle      =       700\n" +
		" Elapsed time      31 seconds for     700 cycles using     2 SMP threads\n\n N o r m a l    t e r m i n a t i o n                          03/02/25 10:02:05\n"
	for name, c := range map[string]struct {
		text string
		want Kind
	}{
		"by the deck":             {" termination time                  = 1.000E+00\n    termination cycle..............................     700\n", Completed},
		"on the command line":     {" termination time                  = 1.000E+00\n Command line options: i=main.k\n                       ncycle=700\n\n", Completed},
		"more than were computed": {" termination time                  = 1.000E+00\n    termination cycle..............................    7000\n", Stopped},
		"none":                    {" termination time                  = 1.000E+00\n    termination cycle..............................       0\n", Stopped},
		"but a limit ended it":    {" termination time                  = 1.000E+00\n    termination cycle..............................     700\n *** termination due to mass increase ***\n", Stopped},
		"but it was stopped":      {" termination time                  = 1.000E+00\n    termination cycle..............................     700\n *** kill file detected - terminating ****\n", Stopped},
	} {
		o := Decide(Combine([]Source{read(lsdyna.KindStdout, c.text+end)}), Exit{Known: true})
		must.Eq(t, c.want, o.Kind, must.Sprint(name, ": ", o.Reason))
	}
}
