// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseWords reads a number of words as LS-DYNA's memory= takes it: digits, and
// k, m or g for thousand, million and thousand million.
func ParseWords(text string) (int64, error) {
	number, factor := strings.ToLower(text), int64(1)
	for suffix, f := range map[string]int64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if cut, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = cut, f
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !digits(number) || n == 0 || n > math.MaxInt64/factor {
		return 0, fmt.Errorf("give \"auto\" or a number of words above 0, with k, m or g behind it, e.g. 200m")
	}
	return n * factor, nil
}
