// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// How tests keep pace with what runs beside them, however busy the machine is.

// computes waits until the solver looks for sense switches, and the driver knows it.
func (r *run) computes() {
	r.t.Helper()
	r.says("flush i/o buffers")
	r.isSeenComputing()
}

// isSeenComputing waits until the driver has read that the solver computes.
func (r *run) isSeenComputing() {
	r.t.Helper()
	eventually(r.t, "the driver has read of it", func() bool { return r.task().View().Snapshot.Phase == output.PhaseSolving })
}

// freeze stops the solver where it is, so that a test can do what must happen
// before its next cycle. What it returns lets the solver go on.
func (r *run) freeze() (goOn func()) {
	r.t.Helper()
	must.NoError(r.t, syscall.Kill(r.pid, syscall.SIGSTOP))
	eventually(r.t, "every thread of the solver is stopped", func() bool {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.pid))
		must.NoError(r.t, err)
		return !slices.ContainsFunc(files, func(file string) bool {
			data, err := os.ReadFile(file)
			return err == nil && !strings.HasPrefix(statusField(string(data), "State"), "T")
		})
	})
	return func() { must.NoError(r.t, syscall.Kill(r.pid, syscall.SIGCONT)) }
}

// gated has a job's solver begin when the test says so, with open.
func (n *node) gated(j job) job {
	n.t.Helper()
	gate := n.script("until test -e go; do sleep 0.01; done\nexec " + standin + ` "$@"`)
	solver, rest, _ := strings.Cut(j.config, "\n")
	must.Eq(n.t, `solver = "standin"`, solver)
	command, _, _ := strings.Cut(gate.config, "\n")
	j.config = command + "\n" + rest
	return j
}

// open lets a gated solver begin.
func (r *run) open() {
	r.t.Helper()
	must.NoError(r.t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
}

// inGoodTime tries a stop whose steps each have a share of its kill timeout. Nobody
// knows how much of a short one a busy machine takes away, so what was missed is tried
// again with a longer one. What is missed with the longest, too, is not done at all.
func inGoodTime(t *testing.T, try func(timeout time.Duration) (missed string)) {
	t.Helper()
	for _, timeout := range []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second} {
		missed := try(timeout)
		if missed == "" {
			return
		}
		t.Logf("missed within %s: %s", timeout, missed)
	}
	t.Fatal("not done, however much time there was for it")
}

// unsaid returns the first of some words that the driver has not said of the run up to
// now, "" where it has said all of them.
func (r *run) unsaid(words ...string) string {
	r.t.Helper()
	said := r.saidByNow()
	for _, w := range words {
		if !strings.Contains(said, w) {
			return fmt.Sprintf("%q in:\n%s", w, said)
		}
	}
	return ""
}

// saidByNow is all that the driver has said of the run up to now. Events come in the
// order in which they were emitted, so what is behind a last one has come.
func (r *run) saidByNow() string {
	r.t.Helper()
	mark := fmt.Sprintf("So far, by %d", time.Now().UnixNano())
	r.task().Events.Emit(mark)
	r.n.hears(r.id, mark)
	said, _, _ := strings.Cut(strings.Join(r.n.said(r.id), "\n"), mark)
	return said
}
