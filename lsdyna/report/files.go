// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package report

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Bounds of a listing.
const (
	maxEntries  = 50_000 // that are looked at
	maxFamilies = 200    // that are kept, the largest
	batch       = 512
)

// list is what lies in a folder: regular files by family, without following links. What
// cannot be looked at is left out.
func list(f *rundir.Folder) (page.Folder, error) {
	out := page.Folder{Dumps: map[string]int64{}}
	dir, err := f.Dir()
	if err != nil {
		return out, err
	}
	defer dir.Close()
	families := map[string]*page.File{}
	for seen := 0; ; {
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			add(&out, families, f, name)
		}
		if seen += len(names); seen >= maxEntries && err == nil {
			out.More = true
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, err
		}
	}
	for _, one := range families {
		out.Files = append(out.Files, *one)
	}
	slices.SortFunc(out.Files, func(a, b page.File) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	out.Files = out.Files[:min(len(out.Files), maxFamilies)]
	return out, nil
}

func add(out *page.Folder, families map[string]*page.File, f *rundir.Folder, name string) {
	if strings.HasPrefix(name, ".") { // the driver's own
		return
	}
	var st unix.Stat_t
	if err := unix.Fstatat(f.Fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	out.Count++
	out.Bytes += st.Size
	if dump := lsdyna.DumpOf(name); lsdyna.IsDump(dump) {
		out.Dumps[dump] += st.Size
	}
	family := familyOf(name)
	one := families[family]
	if one == nil {
		one = &page.File{Name: family}
		families[family] = one
	}
	one.Count++
	one.Bytes += st.Size
	if written := time.Unix(st.Mtim.Unix()); written.After(one.Written) {
		one.Written = written
	}
}

// familyOf is the name that stands for all files which differ in the number at their end:
// d3plot for d3plot, d3plot01 …, mes0000 … as mes*, d3dump01.0000 … as d3dump01.*.
func familyOf(name string) string {
	stem := strings.TrimRight(name, "0123456789")
	digits := len(name) - len(stem)
	switch {
	case digits == 0:
		if _, numbered := numberedStems[lastPart(name)]; numbered {
			return name + "*"
		}
		return name
	case strings.HasSuffix(stem, ".") && digits >= 4: // of each rank
		return familyOf(strings.TrimSuffix(stem, ".")) + ".*"
	}
	if _, numbered := numberedStems[lastPart(stem)]; numbered {
		return stem + "*"
	}
	return name
}

// numberedStems are outputs of which a run writes many.
var numberedStems = map[string]struct{}{
	"d3plot": {}, "d3part": {}, "d3eigv": {}, "d3drlf": {}, "d3cpm": {}, "d3iter": {}, "d3thdt": {}, "intfor": {}, "mes": {}, "binout": {}, "d3prop": {},
}

// lastPart is a name without a jobid before it.
func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// ownerOf is who owns a folder; 0 and false where its file system does not say.
func ownerOf(f *rundir.Folder) (uid uint32, ok bool) {
	var st unix.Stat_t
	if err := unix.Fstat(f.Fd(), &st); err != nil {
		return 0, false
	}
	return st.Uid, true
}
