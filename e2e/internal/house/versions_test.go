// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// testedVersions are the versions of Nomad at the head of docs/install.md's table, which is
// what `make e2e-versions` printed.
func testedVersions(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	must.NoError(t, err)
	head := regexp.MustCompile(`(?m)^\| Test \|(.*)\|$`).FindAllStringSubmatch(string(page), -1)
	must.Len(t, 1, head, must.Sprint("tables of versions in docs/install.md"))
	var versions []string
	for cell := range strings.SplitSeq(head[0][1], "|") {
		versions = append(versions, strings.TrimSpace(cell))
	}
	return versions
}

// makeVersions are the versions that `make e2e-versions` takes: those that can be built, and the
// pinned one.
func makeVersions(t *testing.T) []string {
	t.Helper()
	var versions []string
	for path, line := range map[string]string{
		"versions.txt": `(?m)^(\d+\.\d+\.\d+) h1:`,
		"go.mod":       `(?m)^\tgithub\.com/hashicorp/nomad v(\S+)`,
	} {
		content, err := os.ReadFile(filepath.Join(root, "e2e", "nomad", path))
		must.NoError(t, err)
		found := regexp.MustCompile(line).FindAllStringSubmatch(string(content), -1)
		must.Positive(t, len(found), must.Sprint(path))
		for _, m := range found {
			versions = append(versions, m[1])
		}
	}
	return versions
}

// README and docs/install.md claim the versions that are tested, and no other.
func TestVersionsOfNomad(t *testing.T) {
	tested := testedVersions(t)
	can := makeVersions(t)
	for _, v := range tested {
		must.SliceContains(t, can, v, must.Sprintf("docs/install.md has a column for %s", v))
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	must.NoError(t, err)
	must.StrContains(t, string(readme), "tested with Nomad "+inWords(tested))
}

// inWords is "1, 2 and 3".
func inWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// The demo takes a Nomad on PATH when its version is tested.
func TestNomadOnPath(t *testing.T) {
	script, err := filepath.Abs(filepath.Join(root, ".ci", "nomad-on-path"))
	must.NoError(t, err)
	tested := testedVersions(t)
	for _, tc := range []struct {
		says string
		used bool
	}{
		{"Nomad v" + tested[0], true},
		{"Nomad v" + tested[len(tested)-1] + "\nBuildDate 2026-03-11T09:10:27Z", true},
		{"Nomad v" + tested[0] + " (173ab08a0210789da531847c4ce3c3518f7fb34b)", true},
		{"Nomad v" + tested[0] + "0", false},
		{"Nomad v" + tested[0] + "-dev", false},
		{"Nomad v1", false},
		{"Nomad v", false},
		{"another program", false},
	} {
		nomad := filepath.Join(t.TempDir(), "nomad")
		must.NoError(t, os.WriteFile(nomad, fmt.Appendf(nil, "#!/bin/sh\ncat <<'END'\n%s\nEND\n", tc.says), 0o755))
		cmd := exec.Command(script)
		cmd.Env = append(slices.Clone(os.Environ()), "PATH="+filepath.Dir(nomad)+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		must.NoError(t, err)
		want := ""
		if tc.used {
			want = nomad + "\n"
		}
		must.Eq(t, want, string(out), must.Sprint(tc.says))
	}
}
