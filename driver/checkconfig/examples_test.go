// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

// ofMachine are the keys whose warnings depend on the machine that the test runs on.
var ofMachine = regexp.MustCompile(`^(plugin_dir|data_dir|state_dir|work_roots|cores\.usable|license\.qrun|solver\.[^.]+)$`)

// clean fails where a configuration has an error, or lacks what it should have everywhere.
func clean(t *testing.T, r findings.Report) {
	t.Helper()
	must.SliceEmpty(t, r.Errors, must.Sprint(told(r.Errors)))
	warnings := slices.DeleteFunc(r.Warnings, func(f findings.Finding) bool { return ofMachine.MatchString(f.Key) })
	must.SliceEmpty(t, warnings, must.Sprint(told(warnings)))
	must.SliceNotEmpty(t, r.Settings)
}

// Every agent's configuration that stands in this repository as an example is clean, and
// has the telemetry of which Nomad's UI makes graphs.
func TestCheck_ExamplesAreClean(t *testing.T) {
	found := 0
	for _, folder := range []string{"example", "packaging", "packs", "docs"} {
		must.NoError(t, filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".hcl" {
				return err
			}
			text, err := os.ReadFile(path)
			must.NoError(t, err)
			if strings.Contains(string(text), `plugin "`+names.Plugin+`"`) {
				found++
				t.Run(path, func(t *testing.T) { clean(t, names.Check(t.Context(), findings.Request{Paths: []string{path}})) })
			}
			return nil
		}))
	}
	must.Positive(t, found)
}

// written are the files of an agent that a page has its reader write.
var written = regexp.MustCompile(`(?s)cat > /etc/nomad\.d/(\S+) <<'END'\n(.*?)\nEND\n`)

func TestCheck_WhatInstallHasWrittenIsClean(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	must.NoError(t, err)
	dir := t.TempDir()
	files := written.FindAllStringSubmatch(string(page), -1)
	must.SliceNotEmpty(t, files)
	for _, file := range files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, file[1]), []byte(file[2]), 0o600))
	}
	clean(t, names.Check(t.Context(), findings.Request{Paths: []string{dir}}))
}
