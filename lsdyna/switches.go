// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
)

// KillFile is the file from which LS-DYNA takes sense switches. It reads the file
// about every 100 cycles of an explicit run and at each step of an implicit one. With
// a slow model this takes minutes. Most documents say that it deletes the file then,
// that of LSF says that it leaves it.
const KillFile = "d3kil"

// Switch is a sense switch that LS-DYNA takes from a file d3kil.
type Switch struct {
	Name       string // as written into d3kil, e.g. "sw1."
	Help       string
	Terminates bool // the run ends
	Dumps      bool // a restart file is written
	Unknown    bool // of a version that this table does not know
}

// Word is the switch as users write it, "sw1".
func (s Switch) Word() string { return strings.TrimSuffix(s.Name, ".") }

// switches in the order in which LS-DYNA prints them at its start. sw5 opens
// interactive graphics, which a batch run has not, and is left out.
var switches = []Switch{
	{Name: "sw1.", Help: "write a restart file and terminate", Terminates: true, Dumps: true},
	{Name: "sw2.", Help: "report time and cycle"},
	{Name: "sw3.", Help: "write a restart file and go on", Dumps: true},
	{Name: "sw4.", Help: "write a plot state and go on"},
	{Name: "swa.", Help: "flush all output buffers"},
	{Name: "swb.", Help: "write a dynain file and go on"},
	{Name: "swc.", Help: "write a restart and a dynain file and go on", Dumps: true},
	{Name: "swd.", Help: "write a restart and a dynain file and terminate", Terminates: true, Dumps: true},
	{Name: "swe.", Help: "end dynamic relaxation as though converged"},
	{Name: "swn.", Help: "turn the check for NaN on"},
	{Name: "stop", Help: "terminate without a restart file", Terminates: true},
	{Name: "quit", Help: "terminate without a restart file", Terminates: true},
	{Name: "lpri", Help: "toggle output of the implicit linear algebra"},
	{Name: "nlpr", Help: "toggle output of the implicit nonlinear solver"},
	{Name: "iter", Help: "toggle the implicit d3iter database"},
	{Name: "prof", Help: "write timing data to messag and go on"},
	{Name: "conv", Help: "take the current implicit step as converged"},
	{Name: "ttrm", Help: "reduce and retry the current implicit step"},
	{Name: "rtrm", Help: "terminate at the end of the current implicit step", Terminates: true},
}

// ParseSwitch reads a switch as users write it ("sw1", "SW1.", "stop",
// "endtime=0.02") and returns it as LS-DYNA reads it. Newer versions know more of them
// than this table: any short word may be one.
func ParseSwitch(text string) (Switch, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	if value, ok := strings.CutPrefix(name, endTime); ok || name+"=" == endTime {
		t, ok := fortran.Float([]byte(value))
		printed := func(r rune) bool { return r > ' ' && r < 0x7f } // one word, on the one line of the file
		if !ok || t <= 0 || strings.TrimFunc(value, printed) != "" {
			return Switch{}, fmt.Errorf("sense switch %q: endtime needs a problem time above 0, e.g. endtime=0.02", text)
		}
		return Switch{Name: endTime + value, Help: "change the termination time"}, nil
	}
	for _, sw := range switches {
		if name == sw.Name || name+"." == sw.Name {
			return sw, nil
		}
	}
	switch {
	case interactive(name):
		return Switch{}, fmt.Errorf("%q opens interactive graphics, which a batch run has not", text)
	case numbered(name):
		return Switch{Name: strings.TrimSuffix(name, ".") + ".", Help: unknownHelp, Unknown: true}, nil
	case isWord(name):
		return Switch{Name: name, Help: unknownHelp, Unknown: true}, nil
	}
	names := make([]string, len(switches))
	for i, sw := range switches {
		names[i] = sw.Word()
	}
	return Switch{}, fmt.Errorf("%q is %w; use one of %s, endtime=T, or a word of up to %d letters and digits that your version of LS-DYNA knows",
		text, errNoSwitch, strings.Join(names, ", "), maxWord)
}

var errNoSwitch = errors.New("not a sense switch")

const (
	endTime     = "endtime="
	unknownHelp = "not known here"
	maxWord     = 8 // characters; LS-DYNA's own have three or four
)

// EndTime is the termination time that a switch sets.
func (s Switch) EndTime() (t float64, ok bool) {
	value, ok := strings.CutPrefix(s.Name, endTime)
	if !ok {
		return 0, false
	}
	return fortran.Float([]byte(value))
}

func interactive(name string) bool { return strings.TrimSuffix(name, ".") == "sw5" }

// numbered reports whether a name is like "sw1", which LS-DYNA reads with a dot.
func numbered(name string) bool {
	name = strings.TrimSuffix(name, ".")
	return len(name) == 3 && strings.HasPrefix(name, "sw") && isWord(name)
}

// isWord reports whether a name is a short word of plain letters and digits.
func isWord(name string) bool {
	if len(name) < 3 || len(name) > maxWord || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	return !strings.ContainsFunc(name, other)
}

// ParseStop reads a switch that is to end a run. One that is not known is taken for
// one that does.
func ParseStop(text string) (Switch, error) {
	sw, err := ParseSwitch(text)
	switch {
	case errors.Is(err, errNoSwitch):
		return Switch{}, fmt.Errorf("%q is %w; use sw1 (dump and terminate), swd or stop, or a word of up to %d letters and digits with which your version of LS-DYNA ends a run", text, errNoSwitch, maxWord)
	case err != nil:
		return Switch{}, err
	case !sw.Terminates && !sw.Unknown:
		return Switch{}, fmt.Errorf("%q does not end a run; use sw1 (dump and terminate), swd or stop", text)
	}
	sw.Terminates = true
	return sw, nil
}
