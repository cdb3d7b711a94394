// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// mountPoints returns the paths at which something is mounted, as this process sees them
// (proc_pid_mountinfo(5)).
func mountPoints() (map[string]bool, error) {
	const most = 64 << 20 // bytes; a node with containers has thousands of lines
	data, err := durable.ReadFile(procfs.Root+"/self/mountinfo", most)
	if err != nil {
		return nil, fmt.Errorf("read mount points: %w", err)
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		const point = 4
		if fields := strings.Fields(line); len(fields) > point {
			points[unescape(fields[point])] = true
		}
	}
	return points, nil
}

// unescape reads the octal escapes of blanks, line ends and backslashes (mangle_path in
// fs/seq_file.c).
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
