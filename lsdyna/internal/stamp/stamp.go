// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package stamp reads dates and times as LS-DYNA prints them.
package stamp

// Wall reads 08/12/24 and 15:37:13 as seconds since 1970 in the solver's
// own time zone, which outputs do not name.
func Wall(date, clock []byte) (int64, bool) {
	month, day, year, ok := three(date, '/')
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	second, ok := SecondOfDay(clock)
	return daysSince1970(2000+year, month, day)*86400 + second, ok
}

// SecondOfDay reads 15:37:13.
func SecondOfDay(clock []byte) (int64, bool) {
	hour, minute, second, ok := three(clock, ':')
	return int64(hour*3600 + minute*60 + second), ok && hour < 24 && minute < 60 && second <= 60
}

// three reads two digits, three times, with a separator between.
func three(b []byte, sep byte) (x, y, z int, ok bool) {
	if len(b) != 8 || b[2] != sep || b[5] != sep {
		return 0, 0, 0, false
	}
	a0, a1, b0, b1, c0, c1 := b[0]-'0', b[1]-'0', b[3]-'0', b[4]-'0', b[6]-'0', b[7]-'0'
	if a0 > 9 || a1 > 9 || b0 > 9 || b1 > 9 || c0 > 9 || c1 > 9 {
		return 0, 0, 0, false
	}
	return int(a0)*10 + int(a1), int(b0)*10 + int(b1), int(c0)*10 + int(c1), true
}

// daysSince1970 counts days of the Gregorian calendar. Its years begin in March,
// so that the leap day is the last day of a year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day) - 719469
}
