// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package health

import (
	"regexp"
	"strconv"
)

// Failure is the rank of an MPP run that failed first: launchers end the others then.
type Failure struct {
	Rank *int   `json:"rank"`           // null: the launcher does not say which
	Host string `json:"host,omitempty"` // "" not known
	Text string `json:"text"`           // as the launcher or the solver says it
}

// String says it in words.
func (f *Failure) String() string {
	who := "a rank"
	if f.Rank != nil {
		who = "rank " + strconv.Itoa(*f.Rank)
	}
	if f.Host != "" {
		who += " on " + f.Host
	}
	return who
}

// How a rank and its host are named: "mpirun: rank 3 with PID 7 on node crash02 exited on
// signal 9", "mpiexec: rank 1 (process 4711) on node crash02 ended with exit code 1",
// "MPI_ABORT was invoked on rank 3 in communicator", "NaN detected on processor #  30".
var (
	rankWords = regexp.MustCompile(`(?i)\b(?:rank|processor #)\s*(\d{1,7})\b`)
	hostWords = regexp.MustCompile(`(?i)\bon (?:node|host) ([A-Za-z0-9][A-Za-z0-9._-]{0,79})`)
)

// firstFailure takes the first text that names a rank or a host.
func firstFailure(texts []string) *Failure {
	for _, text := range texts {
		f := Failure{Text: text}
		if found := rankWords.FindStringSubmatch(text); found != nil {
			if n, err := strconv.Atoi(found[1]); err == nil {
				f.Rank = &n
			}
		}
		if found := hostWords.FindStringSubmatch(text); found != nil {
			f.Host = found[1]
		}
		if f.Rank != nil || f.Host != "" {
			return &f
		}
	}
	return nil
}
