// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"strconv"
	"strings"
)

// killFile is where a user leaves a sense switch, in the run folder.
const killFile = "d3kil"

// readSwitch reads and deletes the kill file; LSF's manual says that LS-DYNA keeps it.
// It returns "" when there is none
// or when its content is no switch; what is not understood is returned in junk.
func readSwitch(path string, keep bool) (sw, junk string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	if !keep {
		if err := os.Remove(path); err != nil {
			return "", ""
		}
	}
	return parseSwitch(string(text))
}

// parseSwitch reads a sense switch: sw1 or sw1., in upper or lower case, with
// anything after the first word left out.
func parseSwitch(text string) (sw, junk string) {
	fields := strings.Fields(strings.ToLower(text))
	if len(fields) == 0 {
		return "", ""
	}
	word := strings.TrimSuffix(fields[0], ".")
	switch word {
	case "sw1", "sw2", "sw3", "sw4", "swa", "swb", "swc", "swd", "swn", "stop", "quit":
		return word, ""
	}
	if _, ok := switchEndTime(fields[0]); ok {
		return fields[0], ""
	}
	return "", fields[0]
}

// switchEndTime reads endtime=T.
func switchEndTime(sw string) (float64, bool) {
	value, ok := strings.CutPrefix(sw, "endtime=")
	if !ok {
		return 0, false
	}
	t, err := strconv.ParseFloat(value, 64)
	return t, err == nil && t > 0
}
