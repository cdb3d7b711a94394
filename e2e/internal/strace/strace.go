// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package strace reads what strace -f -ttt -T writes.
package strace

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Call is one system call of one thread.
type Call struct {
	TID    int
	Began  time.Time
	Took   time.Duration // 0 of a call that never returned, as of one that ended the thread
	Name   string
	Args   string
	Result string
}

// Failed reports whether the call returned an error.
func (c Call) Failed() bool { return strings.HasPrefix(c.Result, "-1 ") }

// Child is the thread or process that a clone made, 0 for none.
func (c Call) Child() int {
	switch c.Name {
	case "clone", "clone3", "fork", "vfork":
		id, _ := strconv.Atoi(c.Result)
		return max(id, 0)
	}
	return 0
}

// IsThread reports whether a clone made a thread of the same process.
func (c Call) IsThread() bool { return strings.Contains(c.Args, "CLONE_THREAD") }

var (
	lineOf  = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (.*)$`)
	whole   = regexp.MustCompile(`^(\w+)\((.*)\) += (.*?)(?: <([0-9.]+)>)?$`)
	begun   = regexp.MustCompile(`^(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)\) += (.*?)(?: <([0-9.]+)>)?$`)
)

// Parse returns the calls in the order in which they began.
func Parse(r io.Reader) ([]Call, error) {
	var calls []Call
	open := map[int]int{} // by thread: its call that has not returned
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		parts := lineOf.FindStringSubmatch(scanner.Text())
		if parts == nil {
			return nil, fmt.Errorf("not a line of strace -f -ttt: %q", scanner.Text())
		}
		tid, _ := strconv.Atoi(parts[1])
		at, err := timeOf(parts[2], parts[3])
		if err != nil {
			return nil, err
		}
		text := parts[4]
		if m := whole.FindStringSubmatch(text); m != nil {
			calls = append(calls, Call{TID: tid, Began: at, Name: m[1], Args: m[2], Result: m[3], Took: took(m[4])})
		} else if m := begun.FindStringSubmatch(text); m != nil {
			open[tid] = len(calls)
			calls = append(calls, Call{TID: tid, Began: at, Name: m[1], Args: m[2]})
		} else if m := resumed.FindStringSubmatch(text); m != nil {
			// Without its beginning it began before strace came.
			if i, ok := open[tid]; ok && calls[i].Name == m[1] {
				c := &calls[i]
				c.Args, c.Result, c.Took = c.Args+m[2], m[3], took(m[4])
				delete(open, tid)
			}
		} // else a signal, or the end of a thread
	}
	slices.SortStableFunc(calls, func(a, b Call) int { return a.Began.Compare(b.Began) })
	return calls, scanner.Err()
}

func timeOf(seconds, micros string) (time.Time, error) {
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	us, err := strconv.ParseInt(micros, 10, 64)
	return time.Unix(s, us*1000), err
}

func took(seconds string) time.Duration {
	f, _ := strconv.ParseFloat(seconds, 64)
	return time.Duration(f * float64(time.Second))
}
