// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// TestHolderProcess is no test but the plugin of TestHolder_namesTheAgentThatIsDead.
func TestHolderProcess(t *testing.T) {
	if os.Getenv("STATE_TEST_HOLDER") == "" {
		t.Skip("for TestHolder_namesTheAgentThatIsDead")
	}
	agent := os.Getppid()
	fmt.Println(agent)
	for ; os.Getppid() == agent; time.Sleep(time.Millisecond) {
	}
	out, err := json.Marshal(thisHolder())
	must.NoError(t, err)
	fmt.Println(string(out))
	os.Exit(0)
}

// An agent that is killed before its plugin takes state_dir is dead to the next plugin.
func TestHolder_namesTheAgentThatIsDead(t *testing.T) {
	agent := exec.CommandContext(t.Context(), "sh", "-c", `"$0" -test.run='^TestHolderProcess$' & read line`, os.Args[0])
	agent.Env = append(os.Environ(), "STATE_TEST_HOLDER=1")
	stdin, err := agent.StdinPipe()
	must.NoError(t, err)
	r, w, err := os.Pipe()
	must.NoError(t, err)
	defer r.Close()
	agent.Stdout = w
	must.NoError(t, agent.Start())
	must.NoError(t, w.Close())
	out := bufio.NewScanner(r)
	must.True(t, out.Scan())
	must.Eq(t, fmt.Sprint(agent.Process.Pid), out.Text())
	must.NoError(t, stdin.Close())
	_ = agent.Wait() // it has read nothing
	must.True(t, out.Scan(), must.Sprint(out.Err()))
	var h Holder
	must.NoError(t, json.Unmarshal(out.Bytes(), &h))
	must.Eq(t, agent.Process.Pid, h.ParentPID)
	must.NotEq(t, agent.Process.Pid, h.PID)
	must.Positive(t, h.ParentStart)
	must.False(t, h.Parent().Alive("/proc"))
	for out.Scan() { // its end
	}
}
