// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	embedded "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/program"
)

// Version is the plugin's version. main sets it to driver.Version, which the
// build sets.
var Version = ""

// versionReport is what `version -json` prints.
type versionReport struct {
	Version string  `json:"version"`
	Go      string  `json:"go"`
	OS      string  `json:"os"`
	Arch    string  `json:"arch"`
	Commit  *string `json:"commit"`

	Supervisor string `json:"supervisor"` // what supervisors are executed from
}

func runVersion(_ context.Context, args []string, s streams) error {
	fs := newFlags("version")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	r := findVersion()
	if *asJSON {
		return writeJSON(s.out, r)
	}
	return write(s.out, fmt.Sprintf("%s %s (%s, %s/%s, supervisor: %s)\n", program, r.Version, r.Go, r.OS, r.Arch, r.Supervisor))
}

func findVersion() versionReport {
	r := versionReport{Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Supervisor: "itself"}
	if embedded.Size() > 0 {
		r.Supervisor = "embedded"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			r.Commit = &setting.Value
		}
	}
	if r.Version == "" {
		r.Version = info.Main.Version
	}
	if r.Version == "" {
		r.Version = "unknown"
	}
	return r
}
