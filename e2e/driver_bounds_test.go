// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A deck without an end fails its task in words, at once, and takes no core.
func TestDriver_EndlessDeckIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	folder := s.deck("endless", "solid_bar_impact")
	deck, err := os.OpenFile(filepath.Join(folder, "main.k"), os.O_APPEND|os.O_WRONLY, 0)
	must.NoError(t, err)
	_, err = deck.WriteString("\n*INCLUDE\nbig.k\n")
	must.NoError(t, err)
	must.NoError(t, deck.Close())
	must.NoError(t, os.WriteFile(filepath.Join(folder, "big.k"), nil, 0o644))
	must.NoError(t, os.Truncate(filepath.Join(folder, "big.k"), 1<<40))
	s.submit(jobHCL{name: "endless", folder: folder}).
		wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "with big.k the deck and its includes are larger than 256 GiB"))
	// As far as it may be long it is read, holes aside.
	must.NoError(t, os.Truncate(filepath.Join(folder, "big.k"), 200<<30))
	s.submit(jobHCL{name: "long", folder: folder, config: `ncpu = 1`, env: slow}).
		wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Allocated core"))
}

// A command without an end ends with whoever wants its output, and all that it has
// started; the solver goes on.
func TestDriver_EndlessExecEndsWithItsClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	r := s.start(jobHCL{name: "exec", folder: s.deck("exec", "solid_bar_impact"), config: "ncpu = 1", env: slow})
	alloc := r.wait(api.AllocClientStatusRunning)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	_, err := s.API.Allocations().Exec(ctx, alloc, "lsdyna", false, []string{"/bin/sh", "-c", "sh -c 'echo $$ > exec.pid; exec yes' | cat"},
		strings.NewReader(""), cancelled{cancel}, io.Discard, nil, nil)
	must.ErrorIs(t, err, context.Canceled)
	pid, err := os.ReadFile(filepath.Join(r.folder, "exec.pid"))
	must.NoError(t, err)
	ended := within(t)
	for ; ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err != nil {
			break
		}
		must.NoError(t, ended.Err())
	}
	must.SliceNotEmpty(t, r.solvers())
}

// cancelled ends an exec with the first that is heard of it.
type cancelled struct{ cancel context.CancelFunc }

func (c cancelled) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}
