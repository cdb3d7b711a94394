// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package nodes

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// The driver finds why a node took no part in its run, and nothing of an earlier run of
// the same allocation.
func TestRunFollower_TellsWhyItEnded(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer taken.Close()
	self := member.Record{
		Run: "0123456789abcdef", Index: 1, Nodes: 2, Alloc: "a", Node: "crash02", Address: "127.0.0.1:1", Ranks: 1, Threads: 1,
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"its port is taken":    {func(c *Config) { c.Self.Address = taken.Addr().String() }, "listen on the port launch: "},
		"its record is wrong":  {func(c *Config) { c.Self.Address, c.Self.Ranks = "127.0.0.1:0", 0 }, "it has 0 ranks"},
		"the leader is absent": {func(c *Config) { c.Self.Address = freeAddress(t) }, "the leading node did not come within 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must.NoError(t, writeEnded(self.Run, 1, Ended{Alloc: "a", Kind: output.Stopped, Reason: "of an earlier run"}))
			config := Config{Self: self, Patience: time.Millisecond}
			c.change(&config)
			code, err := runFollower(config)
			must.NoError(t, err)
			must.Eq(t, lostCode, code)
			told, err := ReadEnded(".", self.Run, 1, "a")
			must.NoError(t, err)
			must.StrContains(t, told.Reason, c.want)
			must.Eq(t, lostCode, told.Code)
		})
	}
}

// What an earlier run left is gone before anything is done for this one.
func TestRunFollower_ForgetsAnEarlierEnd(t *testing.T) {
	t.Chdir(t.TempDir())
	must.NoError(t, writeEnded("0123456789abcdef", 1, Ended{Alloc: "a"}))
	must.NoError(t, forgetEnded("0123456789abcdef", 1))
	must.NoError(t, forgetEnded("0123456789abcdef", 1))
	_, err := ReadEnded(".", "0123456789abcdef", 1, "a")
	must.ErrorIs(t, err, os.ErrNotExist)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
