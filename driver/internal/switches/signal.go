// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package switches

import (
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// ofSignal maps the signals that are sense switches: dump and go on, and write a plot
// state.
var ofSignal = map[unix.Signal]string{unix.SIGUSR1: "sw3", unix.SIGUSR2: "sw4"}

// OfSignal returns the sense switch that a signal's name stands for: SIGUSR1, SIGUSR2, or
// a switch by its own name. Nomad passes on whatever `nomad alloc signal -s` is given. It
// reports false for a signal, and for what is neither.
func OfSignal(signal string) (name string, ok bool) {
	if sig := unix.SignalNum(signal); sig != 0 {
		name, ok = ofSignal[sig]
		return name, ok
	}
	upper := strings.ToUpper(signal)
	isSignal := strings.HasPrefix(upper, "SIG") || unix.SignalNum("SIG"+upper) != 0
	if _, err := lsdyna.ParseSwitch(signal); err != nil || isSignal {
		return "", false
	}
	return signal, true
}

// Neither is the error for what is neither a signal nor a sense switch: it says what can
// be given.
func Neither(signal string) error {
	if _, err := lsdyna.ParseSwitch(signal); err != nil && strings.HasPrefix(strings.ToLower(signal), "endtime") {
		return err // says what is wrong with the time
	}
	return fmt.Errorf("unknown signal %q: give a signal such as SIGTERM, SIGUSR1 (sw3, a dump) or SIGUSR2 (sw4, a plot state), "+
		"or a sense switch with which the run goes on, such as swn or endtime=0.05; nomad alloc stop ends the run", signal)
}

// EncodeDump is the newest dump before a stop, for the record.
func EncodeDump(d *output.Dump) json.RawMessage {
	if d == nil {
		return nil
	}
	data, _ := json.Marshal(d) // plain fields
	return data
}

// DecodeDump reads what EncodeDump wrote; nil where there is nothing to be read.
func DecodeDump(data json.RawMessage) *output.Dump {
	var d output.Dump
	if len(data) == 0 || json.Unmarshal(data, &d) != nil {
		return nil
	}
	return &d
}
