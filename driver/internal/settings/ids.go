// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"fmt"
	"strconv"
	"strings"
)

// IDRanges are user or group ids. The zero value has none.
type IDRanges struct {
	text   string
	ranges []idRange
}

// idRange has both its ends.
type idRange struct{ first, last int }

// ParseIDRanges reads a list as raw_exec takes it: "0-999,65534".
func ParseIDRanges(list string) (IDRanges, error) {
	parsed := IDRanges{text: list}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 32)
		last, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 32)
		if err1 != nil || err2 != nil || first > last {
			return IDRanges{}, fmt.Errorf("%q is no id or range of ids; write a list such as \"0-999,65534\"", part)
		}
		parsed.ranges = append(parsed.ranges, idRange{int(first), int(last)})
	}
	return parsed, nil
}

// Contains reports whether an id is among them.
func (r IDRanges) Contains(id int) bool {
	for _, ids := range r.ranges {
		if ids.first <= id && id <= ids.last {
			return true
		}
	}
	return false
}

// String returns the list as the operator wrote it.
func (r IDRanges) String() string { return r.text }
