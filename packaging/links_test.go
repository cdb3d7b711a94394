// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/goreleaser/nfpm/v2/files"
)

// link is a link in Markdown: [text](target).
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// A document of a release leads to what the release has: not to sources, and in packages
// not past the links between the documents and what lies in /usr/share.
func TestRelease_LinksOfDocumentsLeadSomewhere(t *testing.T) {
	r := release{root: "..", bin: t.TempDir(), printer: printer(t, "echo x"), version: "1.2.3", arch: "amd64"}
	list, err := r.files()
	if err != nil {
		t.Fatal(err)
	}
	contents, err := r.contents(list, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	archived, packed := map[string]file{}, map[string]file{}
	for _, f := range list {
		if f.archive != "" {
			archived["/"+f.archive] = f
		}
		for _, c := range contents {
			to := path.Join(path.Dir(c.Destination), c.Source)
			if below, is := strings.CutPrefix(f.pkg, to+"/"); is && c.Type == files.TypeSymlink {
				packed[c.Destination+"/"+below] = f
			}
		}
		if f.pkg != "" {
			packed[f.pkg] = f
		}
	}
	for dir, there := range map[string]map[string]file{"/": archived, docDir + "/": packed} {
		for name, f := range there {
			// The examples are read where the documents are, and the packs beside them.
			if path.Ext(name) == ".md" && strings.HasPrefix(name, dir) && !strings.Contains(name, "/example/packs/") && !strings.Contains(name, "/examples/packs/") {
				followLinks(t, name, f, there)
			}
		}
	}
}

// followLinks looks where the links of a document lead that has this name in a release.
func followLinks(t *testing.T, name string, f file, there map[string]file) {
	t.Helper()
	text, err := f.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range link.FindAllSubmatch(text, -1) {
		target, _, _ := strings.Cut(string(m[1]), "#")
		if target == "" || strings.Contains(target, ":") {
			continue
		}
		to, found := path.Join(path.Dir(name), target), false
		for other := range there {
			found = found || other == to || strings.HasPrefix(other, to+"/")
		}
		if !found {
			t.Errorf("%s: the link to %s leads nowhere", name, target)
		}
	}
}
