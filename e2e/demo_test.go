// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// `make agent` ends whole when its terminal is closed, and the command that it prints for a
// job works with whatever Nomad it has taken.
func TestDemo_EndsWithItsTerminal(t *testing.T) {
	t.Parallel()
	nomad := filepath.Join(t.TempDir(), "another-nomad")
	must.NoError(t, os.Symlink(binary(t, "nomad"), nomad))
	bin := t.TempDir() // has no nomad
	for _, name := range []string{cluster.PluginName, "lsdyna-standin"} {
		must.NoError(t, os.Symlink(binary(t, name), filepath.Join(bin, name)))
	}
	program := filepath.Join(bin, "demo")
	build := exec.CommandContext(within(t), "go", "build", "-o", program, "./demo")
	out, err := build.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, program, "-stay", "-bin", bin, "-example", "../example")
	demo.Env = append(os.Environ(), cluster.NomadEnv+"="+nomad)
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // that of a terminal's foreground
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.Stderr = os.Stderr
	said, err := demo.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, demo.Start())
	lines, job, folder := bufio.NewScanner(said), "", ""
	for folder == "" && lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), "  a job "); is {
			job = strings.TrimSpace(text)
		}
		if text, is := strings.CutPrefix(lines.Text(), "  agent's log "); is {
			folder = filepath.Dir(strings.TrimSpace(text))
		}
	}
	must.NotEq(t, "", folder, must.Sprint("the demo says no more"))
	run := exec.CommandContext(within(t), "sh", "-c", strings.Replace(job, " job run ", " job run -detach ", 1))
	out, err = run.CombinedOutput()
	must.NoError(t, err, must.Sprint(job, ": ", string(out)))
	ours := func() []proc.Process {
		found, err := proc.Select(func(p proc.Process) bool {
			return strings.Contains(p.Exe+" "+strings.Join(p.Args, " "), folder+"/") || len(p.Args) > 0 && p.Args[0] == nomad
		})
		must.NoError(t, err)
		return found
	}
	must.SliceNotEmpty(t, ours())

	// Somebody looks at the run from another terminal.
	stranger := exec.CommandContext(within(t), "sleep", "600")
	stranger.Dir, stranger.Env = filepath.Join(folder, "runs"), append(os.Environ(), "NOMAD_DRIVER_LSDYNA_STATE_DIR="+folder+"/state")
	terminal, err := pty.Start(stranger)
	must.NoError(t, err)
	defer func() { _ = terminal.Close() }()
	t.Cleanup(func() {
		for _, left := range ours() {
			_ = cluster.Signal(left, syscall.SIGKILL)
		}
	})

	must.NoError(t, syscall.Kill(-demo.Process.Pid, syscall.SIGHUP)) // as the kernel tells all of them, like ^C
	_, _ = io.Copy(io.Discard, said)
	must.NoError(t, demo.Wait())
	must.SliceEmpty(t, ours())
	_, err = os.Stat(folder)
	must.ErrorIs(t, err, os.ErrNotExist)

	his, err := proc.Read(stranger.Process.Pid)
	must.NoError(t, err)
	must.True(t, his.Alive(), must.Sprint("his shell or editor is not the demo's to end"))
	must.NoError(t, stranger.Process.Kill())
	_ = stranger.Wait()
}
