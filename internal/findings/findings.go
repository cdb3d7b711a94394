// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package findings is what a check of an agent's configuration tells. The driver's side
// checks, and the commands show; neither knows the other.
package findings

import "encoding/json"

// Finding is one thing that is wrong, or that is missing.
type Finding struct {
	File string `json:"file,omitempty"` // "" where it concerns no line of a file
	Line int    `json:"line,omitempty"` // from 1; 0 where it is not known
	Key  string `json:"key,omitempty"`  // of the configuration, such as solver.r14.path
	Text string `json:"text"`           // what it is, and what to do
}

// Setting is a value of the plugin block as the driver takes it.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default bool   `json:"default"` // the files do not name it
}

// Report is all that a check tells.
type Report struct {
	Files    []string  `json:"files"`    // in the order in which the agent reads them
	Errors   []Finding `json:"errors"`   // the agent, or the driver in it, would not start
	Warnings []Finding `json:"warnings"` // it would, but something is missing or is not as it should be
	Notes    []string  `json:"notes"`    // what was not looked at
	Settings []Setting `json:"settings"` // empty where there are errors
}

// MarshalJSON writes a list that has nothing as an empty one, which programs go through
// as they do through others, not as null.
func (r Report) MarshalJSON() ([]byte, error) {
	type report Report
	return json.Marshal(report{
		Files: list(r.Files), Errors: list(r.Errors), Warnings: list(r.Warnings), Notes: list(r.Notes), Settings: list(r.Settings),
	})
}

func list[T any](l []T) []T { return append([]T{}, l...) }

// Request is what is to be checked.
type Request struct {
	Paths     []string // files and folders, as `nomad agent -config` takes them
	DataDir   string   // as the agent's option; "" for that of the files
	PluginDir string   // likewise
}
