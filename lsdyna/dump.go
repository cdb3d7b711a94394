// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"strings"
)

// dumpFiles lists the regular files that make up a dump: the file itself, or
// with MPP one per rank (d3dump01.0000), each also behind "jobid.".
func (f *RunFolder) dumpFiles(name string) []string {
	names, _ := f.names() // what cannot be listed is not there
	var files []string
	for _, candidate := range names {
		if !belongsToDump(candidate, name) {
			continue
		}
		if st, err := f.stat(candidate); err == nil && st.Size > 0 {
			files = append(files, candidate)
		}
	}
	return files
}

func belongsToDump(file, dump string) bool {
	if i := strings.Index(file, dump); i == 0 || (i > 0 && file[i-1] == '.') {
		rest := file[i+len(dump):]
		return rest == "" || (rest[0] == '.' && digits(rest[1:]))
	}
	return false
}

func (f *RunFolder) hasDump(name string) bool { return len(f.dumpFiles(name)) > 0 }
