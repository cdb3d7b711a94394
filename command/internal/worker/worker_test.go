// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestAwait(t *testing.T) {
	for name, c := range map[string]struct {
		worker string // a shell script
		lives  bool   // still when its answer is read
		code   int
	}{
		"it answers and ends":                 {`printf '\002' >&3; exit 2`, false, 2},
		"it answers, but it cannot end":       {`printf '\001' >&3; exec sleep 600`, true, 1},
		"it is killed":                        {`kill -KILL $$`, false, 137},
		"it ends without an answer":           {`exit 3`, false, 3},
		"it ends well, but without an answer": {`exit 0`, false, failed},
	} {
		t.Run(name, func(t *testing.T) {
			answer, theirs, err := os.Pipe()
			must.NoError(t, err)
			defer answer.Close()
			worker := exec.Command("sh", "-c", c.worker)
			worker.ExtraFiles = []*os.File{theirs}
			must.NoError(t, worker.Start())
			must.NoError(t, theirs.Close())
			must.Eq(t, c.code, await(worker, answer))
			if c.lives {
				must.NoError(t, worker.Process.Kill())
			}
			for end := time.Now().Add(time.Minute); syscall.Kill(worker.Process.Pid, 0) == nil; time.Sleep(time.Millisecond) {
				must.True(t, time.Now().Before(end), must.Sprint("the worker has not ended"))
			}
		})
	}
}
