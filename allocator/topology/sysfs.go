// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package topology

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// maxSysfsFile is more than the kernel ever puts into one of these files (a
// page, or a list of 8192 CPUs); a captured tree may hold anything.
const maxSysfsFile = 256 << 10

// sysfs reads small files below a root and remembers what was wrong with them.
// A file that is missing is not worth a word by itself: kernels and captures
// differ in what they have. The caller warns where it has no second source.
type sysfs struct {
	root     string
	warnings []string
}

// warn keeps a sentence for the operator, each once.
func (s *sysfs) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.warnings, text) {
		s.warnings = append(s.warnings, text)
	}
}

// text returns a file's content without the white space and NULs around it;
// false where there is none to read.
func (s *sysfs) text(path string) (string, bool) {
	// O_NONBLOCK: a pipe in a captured tree must not hang us.
	file, err := os.OpenFile(filepath.Join(s.root, path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.warn("cannot read %s: %v", path, errors.Unwrap(err))
		}
		return "", false
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSysfsFile))
	if err != nil {
		s.warn("cannot read %s: %v", path, err)
		return "", false
	}
	return strings.Trim(string(data), " \t\r\n\x00"), true
}

// number reads a decimal number, such as core_id; -1 is a legal value.
func (s *sysfs) number(path string) (int, bool) {
	text, ok := s.text(path)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		s.warn("%s holds %q, not a number", path, clip(text))
		return 0, false
	}
	return int(n), true
}

// list reads a CPU list file.
func (s *sysfs) list(path string) (cpuset.Set, bool) {
	return s.set(path, cpuset.Parse)
}

// listOrMask reads the first of the files that is there and makes sense. The
// list files came to the kernel after the masks (2.6.26 for topology), so old
// machines have masks only. A name that ends in "_list" or "list" is a list.
func (s *sysfs) listOrMask(dir string, names ...string) (cpuset.Set, bool) {
	for _, name := range names {
		parse := cpuset.ParseMask
		if strings.HasSuffix(name, "list") {
			parse = cpuset.Parse
		}
		if set, ok := s.set(filepath.Join(dir, name), parse); ok && !set.IsEmpty() {
			return set, true
		}
	}
	return cpuset.Set{}, false
}

func (s *sysfs) set(path string, parse func(string) (cpuset.Set, error)) (cpuset.Set, bool) {
	text, ok := s.text(path)
	// An unset nohz_full reads "(null)" on some kernels (printk's %*pbl of NULL).
	if !ok || text == "(null)" {
		return cpuset.Set{}, ok
	}
	set, err := parse(text)
	if err != nil {
		s.warn("%s: %v", path, err)
		return cpuset.Set{}, false
	}
	return set, true
}

// numbered returns the numbers of the entries of dir named prefix + number,
// ascending: cpu0, cpu1 … or node0, node1 …
func (s *sysfs) numbered(dir, prefix string) []int {
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warn("cannot list %s: %v", dir, errors.Unwrap(err))
	}
	var numbers []int
	for _, entry := range entries {
		digits, ok := strings.CutPrefix(entry.Name(), prefix)
		n, err := strconv.ParseUint(digits, 10, 31)
		if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
			continue
		}
		numbers = append(numbers, int(n))
	}
	slices.Sort(numbers)
	return numbers
}

// clip keeps warnings short whatever a file held.
func clip(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
