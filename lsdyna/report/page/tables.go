// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package page

import (
	"fmt"
	"strings"
)

// addProblems adds errors and warnings.
func (p *Page) addProblems(v *view) {
	if first := p.Report.FirstError; first != nil {
		name := "first"
		if first.Code != 0 {
			name = codeOf(first.Code, first.Class)
		}
		v.Errors = append(v.Errors, problem{Name: name, Text: clean(first.Text, maxText)})
		if n := p.Report.Errors; n != nil && *n > 1 {
			v.ErrorsNote = "The first of " + plural(*n, "error") + "."
		}
	}
	told := int64(0)
	for _, w := range p.Snapshot.Kinds.Top(maxWarnings) {
		told += w.Count
		v.Warnings = append(v.Warnings, problem{codeOf(w.Code, w.Class), clean(w.Text, maxText), count(w.Count)})
	}
	if n := p.Report.Warnings; n != nil && *n > told && told > 0 {
		v.WarningsNote = fmt.Sprintf("%s in all; the solver stops printing a kind of warning after some.", plural(*n, "warning"))
	}
}

// codeOf is a warning's or error's number as the solver prints it.
func codeOf(code int, class string) string {
	if class == "" {
		return fmt.Sprint(code)
	}
	return clean(fmt.Sprintf("%d (%s+%d)", code, class, code%10000), maxText)
}

// addDumps adds the restart files that the solver told of, the newest first. One whose
// name was written anew (runrsf) is there once.
func (p *Page) addDumps(v *view) {
	all := p.Snapshot.Dumps
	seen := map[string]bool{}
	for i := len(all) - 1; i >= 0 && len(v.Dumps) < maxDumps; i-- {
		d := all[i]
		if seen[d.Name] {
			continue
		}
		seen[d.Name] = true
		row := dump{clean(d.Name, maxText), number(d.Time), count(d.Cycle), solverTime(d.Wall), "not there"}
		if n, ok := p.dumpSize(d.Name); ok {
			row.Size = size(n)
		}
		v.Dumps = append(v.Dumps, row)
	}
	if p.Folder.Count == 0 {
		for i := range v.Dumps {
			v.Dumps[i].Size = "–"
		}
	}
	if r := p.Report.RestartFile; r != nil {
		v.DumpsNote = fmt.Sprintf("A run can go on with r=%s.", clean(*r, maxText))
	}
}

// dumpSize is how large a dump is. The solver names it without its jobid.
func (p *Page) dumpSize(name string) (int64, bool) {
	if n, ok := p.Folder.Dumps[name]; ok {
		return n, true
	}
	for there, n := range p.Folder.Dumps {
		if strings.HasSuffix(there, "."+name) {
			return n, true
		}
	}
	return 0, false
}

// addFiles adds what lies in the folder.
func (p *Page) addFiles(v *view) {
	f := &p.Folder
	shown := f.Files[:min(len(f.Files), maxFiles)]
	for _, one := range shown {
		name := clean(one.Name, maxText)
		if one.Count > 1 {
			name += fmt.Sprintf(" (%s)", plural(int64(one.Count), "file"))
		}
		v.Files = append(v.Files, file{name, size(one.Bytes), localTime(one.Written)})
	}
	if f.Count == 0 {
		return
	}
	v.FilesNote = fmt.Sprintf("%s, %s in all", plural(int64(f.Count), "file"), size(f.Bytes))
	switch {
	case f.More:
		v.FilesNote += "; the folder has more entries than are looked at"
	case len(shown) < len(f.Files):
		v.FilesNote += "; the largest are shown"
	}
	v.FilesNote += "."
}
