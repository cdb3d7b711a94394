// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package screen

import (
	"fmt"
	"strconv"
	"time"
)

// Number writes a number, or "-" where there is none.
func Number[T int | int64](n *T) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// Duration writes a time in its two largest units: 2d4h, 1h05m, 3m20s, 12s.
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s >= 24*3600:
		return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// Seconds is Duration of a time that may not be known.
func Seconds(v *float64) string {
	if v == nil {
		return "-"
	}
	return Duration(time.Duration(*v * float64(time.Second)))
}

// Between is two times that may not be known, e.g. "1h40m-2h30m".
func Between(low, high *float64) string {
	if low == nil || high == nil {
		return "-"
	}
	return Seconds(low) + "-" + Seconds(high)
}

// Float writes a number, or "-" where there is none.
func Float(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

// Plural counts things: "1 core", "2 cores".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
