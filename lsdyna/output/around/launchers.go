// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package around

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/fortran"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Reader takes the lines of one output, from the first to the last, without the blanks
// before them. It keeps what it needs to understand the next ones, and notes in a Said
// what they say. The zero value is ready for a run.
type Reader struct {
	hydra       string // the rank that ended first, by Hydra; "" not known
	noticed     []byte // the beginning of Open MPI's notice of a rank that ended
	noticeLeft  int    // how many further lines may belong to it
	exitFollows bool   // Open MPI's line with an exit code may follow
}

// Clone is a reader of its own that has taken the same lines.
func (r *Reader) Clone() Reader {
	other := *r
	other.noticed = bytes.Clone(r.noticed)
	return other
}

// rules by the first byte of a line: what it begins with, and what takes the rest.
var rules = [256][]struct {
	prefix string
	take   func(r *Reader, s *Said, rest []byte)
}{
	'E': {{"Exit code:", (*Reader).exitCode}},
	'f': {{"forrtl: ", func(_ *Reader, s *Said, rest []byte) { s.crash("forrtl: ", rest) }}},
	'=': {
		{"=   PID ", (*Reader).hydraHost},
		{"=   RANK ", (*Reader).hydraHost},
		{"=   EXIT CODE: ", (*Reader).hydraCode},
		{"=   KILLED BY SIGNAL: ", (*Reader).hydraSignal},
	},
	'Y': {{"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: ", (*Reader).hydraSignal}},
}

// Blank takes a line that is empty, or nothing but blanks.
func (r *Reader) Blank() { r.noticeLeft = 0 }

// Take takes a line and reports whether it is one of a launcher or of the Fortran runtime,
// known by its beginning, or by the line before it. It may be indented.
func (r *Reader) Take(s *Said, text []byte) bool {
	if r.noticeLeft > 0 {
		r.noticeGoesOn(s, text)
		return true
	}
	for _, rule := range rules[text[0]] {
		if n := len(rule.prefix); len(text) >= n && string(text[:n]) == rule.prefix {
			rule.take(r, s, text[n:])
			return true
		}
	}
	return false
}

// exitCode takes "  Exit code:    3", which Open MPI prints below the notice that a
// process ended so.
func (r *Reader) exitCode(s *Said, rest []byte) {
	code, ok := fortran.FirstInteger(rest)
	if !ok || code <= 0 || code > 255 || !r.exitFollows {
		return
	}
	r.exitFollows = false
	s.RankExit = ""
	s.rankCode(int(code), []byte(fmt.Sprintf(openMPIExit+"%d", code)))
}

// openMPIExit begins RankExit where Open MPI tells the exit code of the first rank that
// ended.
const openMPIExit = "mpirun: a process ended with exit code "

// noticeLines is over how many lines Open MPI's notice may be wrapped.
const noticeLines = 3

// notice takes what follows " noticed that process rank ". Open MPI 5 wraps the line.
func (r *Reader) notice(s *Said, rest []byte) {
	r.noticed = append(append(r.noticed[:0], "mpirun: rank "...), rest...)
	if r.noticeLeft = 0; bytes.Contains(rest, []byte("signal ")) {
		s.crash("", r.noticed)
		return
	}
	r.noticeLeft = noticeLines
	sanitize.KeepFirst(&s.RankExit, r.noticed, maxText) // in case the rest does not come
}

// noticeGoesOn takes a line below the beginning of a notice.
func (r *Reader) noticeGoesOn(s *Said, text []byte) {
	r.noticeLeft--
	if text[0] == '-' || len(r.noticed) > maxWords {
		r.noticeLeft = 0
		return
	}
	begun := plain(r.noticed)
	r.noticed = append(append(r.noticed, ' '), text...)
	if bytes.Contains(text, []byte("signal ")) {
		if r.noticeLeft = 0; s.RankExit == begun {
			s.RankExit = ""
		}
		s.crash("", r.noticed)
	}
}

// Bounds of what Hydra says, so that what it says last is never cut off a fact.
const (
	maxHydraPID  = 20
	maxHydraHost = 80
)

const hydraName = "mpiexec: "

// hydraHost takes the line in which Hydra names the host of the process that ended
// first: "=   PID 4711 RUNNING AT crash02" of MPICH, "=   RANK 1 PID 4711 RUNNING AT
// crash02" of Intel MPI.
func (r *Reader) hydraHost(s *Said, rest []byte) {
	before, host, found := bytes.Cut(rest, []byte(" RUNNING AT "))
	if !found || s.RankExit != "" || strings.HasPrefix(s.Crash, hydraName) {
		return // the first is why
	}
	rank, pid, numbered := bytes.Cut(before, []byte(" PID "))
	if !numbered {
		rank, pid = nil, before
	}
	who := "a rank"
	if n, ok := fortran.Integer(rank); ok {
		who = fmt.Sprintf("rank %d", n)
	}
	r.hydra = fmt.Sprintf(hydraName+"%s (process %s) on node %s ", who, sanitize.Line(pid, maxHydraPID), sanitize.Line(host, maxHydraHost))
}

// sigtermExit is the exit code of a rank that the Fortran runtime ends at SIGTERM.
const sigtermExit = 78

// hydraCode takes "=   EXIT CODE: 1". A signal has a line of its own, after it.
func (r *Reader) hydraCode(s *Said, rest []byte) {
	code, ok := fortran.FirstInteger(rest)
	if !ok || r.hydra == "" || s.RankExit != "" {
		return
	}
	s.RankExit = sanitize.HideServers(fmt.Sprintf("%sended with exit code %d", r.hydra, code))
	if code != sigtermExit && s.CrashSignal == int(unix.SIGTERM) {
		s.Crash, s.CrashSignal = "", 0 // of a rank that was ended because this one had
	}
}

// hydraSignal takes "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)"
// of MPICH, and "=   KILLED BY SIGNAL: 9 (Killed)" of Intel MPI.
func (r *Reader) hydraSignal(s *Said, rest []byte) {
	if r.hydra != "" {
		s.crash(r.hydra+"exited on signal: ", rest)
	}
}
