// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cpuset

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads the kernel's list form: numbers and ranges separated by commas,
// a range optionally followed by ":used/group" ("0-31:2/8" takes the first two
// of every eight), white space around any of them. An empty text is the empty
// set. It is what cpuset(7) calls the list format, and bitmap_parselist reads.
func Parse(list string) (Set, error) {
	var s Set
	if strings.TrimSpace(list) == "" {
		return s, nil
	}
	for field := range strings.SplitSeq(list, ",") {
		field = strings.TrimSpace(field)
		if field == "" {
			return Set{}, fmt.Errorf("cpu list %q: empty item between commas", clip(list))
		}
		if err := s.addField(field); err != nil {
			return Set{}, fmt.Errorf("cpu list %q: %w", clip(list), err)
		}
	}
	return s, nil
}

// addField adds one item of a list: "7", "0-3" or "0-31:2/8".
func (s *Set) addField(field string) error {
	span, stride, hasStride := strings.Cut(field, ":")
	lo, hi, isRange := strings.Cut(span, "-")
	first, err := parseCPU(lo)
	if err != nil {
		return err
	}
	last := first
	if isRange {
		if last, err = parseCPU(hi); err != nil {
			return err
		}
		if last < first {
			return fmt.Errorf("range %q runs backwards", clip(span))
		}
	}
	used, group := 1, 1
	if hasStride {
		if !isRange {
			return fmt.Errorf("%q has a stride but no range", clip(field))
		}
		if used, group, err = parseStride(stride); err != nil {
			return err
		}
	}
	for cpu := first; cpu <= last; cpu++ {
		if (cpu-first)%group < used {
			s.Add(cpu)
		}
	}
	return nil
}

func parseStride(text string) (used, group int, err error) {
	u, g, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, fmt.Errorf("stride %q is not used/group", clip(text))
	}
	if used, err = parseCPU(u); err != nil {
		return 0, 0, err
	}
	if group, err = parseCPU(g); err != nil {
		return 0, 0, err
	}
	if used < 1 || group < used {
		return 0, 0, fmt.Errorf("stride %q: used must be 1 to group", clip(text))
	}
	return used, group, nil
}

func parseCPU(text string) (int, error) {
	// ParseUint accepts no sign; Atoi would take "+3", which the kernel does not.
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a CPU number", clip(text))
	}
	if n >= MaxCPUs {
		return 0, fmt.Errorf("CPU %d is beyond the %d CPUs that are supported", n, MaxCPUs)
	}
	return int(n), nil
}

// String returns the kernel's list form, "0-3,8"; the empty set is "".
func (s Set) String() string {
	return string(s.appendList(nil))
}

func (s Set) appendList(b []byte) []byte {
	first, last := -1, -1
	flush := func() {
		if first < 0 {
			return
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(first), 10)
		if last > first {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(last), 10)
		}
	}
	for cpu := range s.All() {
		if first >= 0 && cpu == last+1 {
			last = cpu
			continue
		}
		flush()
		first, last = cpu, cpu
	}
	flush()
	return b
}

// ParseMask reads the kernel's mask form: hexadecimal words of 32 bits, the
// highest first, separated by commas. A word may have fewer than eight digits,
// as the kernel prints them where NR_CPUS is not a multiple of 32.
func ParseMask(mask string) (Set, error) {
	var s Set
	fields := strings.Split(strings.TrimSpace(mask), ",")
	for i, field := range fields {
		word, err := parseMaskWord(field)
		if err != nil {
			return Set{}, fmt.Errorf("cpu mask %q: %w", clip(mask), err)
		}
		low := 32 * (len(fields) - 1 - i)
		if word != 0 && low >= MaxCPUs {
			return Set{}, fmt.Errorf("cpu mask %q: more than the %d CPUs that are supported", clip(mask), MaxCPUs)
		}
		if word != 0 {
			s.w[low>>6] |= word << (low & 63)
		}
	}
	return s, nil
}

func parseMaskWord(field string) (uint64, error) {
	if len(field) > 8 {
		return 0, fmt.Errorf("word %q has more than eight digits", clip(field))
	}
	word, err := strconv.ParseUint(field, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("word %q is not hexadecimal", clip(field))
	}
	return word, nil
}

// Mask returns the mask form in as few words as needed: "3", "1,00000000".
// The kernel and taskset(1) read it; the kernel prints more leading zeros, as
// many as the machine's possible CPUs ask for.
func (s Set) Mask() string {
	top := s.Last() / 32
	if s.IsEmpty() {
		return "0"
	}
	b := strconv.AppendUint(nil, s.word32(top), 16)
	for i := top - 1; i >= 0; i-- {
		b = fmt.Appendf(b, ",%08x", s.word32(i))
	}
	return string(b)
}

func (s Set) word32(i int) uint64 {
	return s.w[i/2] >> (32 * (i % 2)) & 0xffffffff
}

// MarshalText writes the list form.
func (s Set) MarshalText() ([]byte, error) { return s.appendList([]byte{}), nil }

// UnmarshalText reads the list form.
func (s *Set) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// clip keeps error messages short whatever the input was.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
