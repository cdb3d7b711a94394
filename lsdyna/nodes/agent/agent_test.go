// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// As launchers call ssh, or what they were told to call in its place.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want Call
	}{
		"Open MPI 4":           {[]string{"lsdyna-node-1", "orted", "-mca", "ess", `"env"`}, Call{1, []string{"orted", "-mca", "ess", `"env"`}}},
		"a prelude":            {[]string{"lsdyna-node-3", "PATH=/x ; export PATH ;", "orted"}, Call{3, []string{"PATH=/x ; export PATH ;", "orted"}}},
		"Hydra":                {[]string{"lsdyna-node-1", `"/usr/bin/hydra_pmi_proxy"`, "--proxy-id", "1"}, Call{1, []string{`"/usr/bin/hydra_pmi_proxy"`, "--proxy-id", "1"}}},
		"ssh's options":        {[]string{"-x", "-q", "-n", "lsdyna-node-12", "true"}, Call{12, []string{"true"}}},
		"with values":          {[]string{"-o", "BatchMode=yes", "-oPort=22", "-l", "dora", "-p22", "lsdyna-node-0", "true"}, Call{0, []string{"true"}}},
		"a node's name":        {[]string{Host(7, "crash 02.example"), "true"}, Call{7, []string{"true"}}},
		"several in one word":  {[]string{"-xqp", "22", "lsdyna-node-0", "true"}, Call{0, []string{"true"}}},
		"the end of options":   {[]string{"-x", "--", "lsdyna-node-0", "-v"}, Call{0, []string{"-v"}}},
		"a user":               {[]string{"dora@lsdyna-node-2", "true"}, Call{2, []string{"true"}}},
		"the command's option": {[]string{"lsdyna-node-2", "-l", "x"}, Call{2, []string{"-l", "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.args)
			must.NoError(t, err)
			must.Eq(t, c.want, got)
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	for want, args := range map[string][]string{
		"usage: launch HOST":                {},
		"usage: launch HOST COMMAND":        {"lsdyna-node-1"},
		"usage: launch HOST COMMAND…":       {"-o"},
		`host "node7" is not a node`:        {"node7", "true"},
		`host "lsdyna-node-" is not`:        {"lsdyna-node-", "true"},
		`host "lsdyna-node-+1" is not`:      {"lsdyna-node-+1", "true"},
		`host "lsdyna-node-01" is not`:      {"lsdyna-node-01", "true"},
		`host "lsdyna-node-1024" is not`:    {"lsdyna-node-1024", "true"},
		`host "lsdyna-node-99999999999" is`: {"lsdyna-node-99999999999", "true"},
	} {
		_, err := Parse(args)
		must.ErrorContains(t, err, want)
	}
}

func TestHost(t *testing.T) {
	must.Eq(t, "lsdyna-node-3", Host(3, "…"))
	must.Eq(t, "lsdyna-node-3-crash-02-example-com", Host(3, "crash_02.example.com"))
	must.Eq(t, "lsdyna-node-3-"+strings.Repeat("x", maxName), Host(3, strings.Repeat("x", 200)))
}

func FuzzParse(f *testing.F) {
	f.Add("-x", "lsdyna-node-1", "true")
	f.Add("-o", "x", "a@lsdyna-node-0")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		call, err := Parse([]string{a, b, c})
		if err == nil {
			must.Positive(t, len(call.Words))
			must.Between(t, 0, call.Node, member.MaxNodes-1)
		}
	})
}

func TestRun_ExecutesOnTheNodeOfTheHost(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	secret := wire.NewSecret()
	key := member.Key("default", "bar", "solve")
	t.Setenv(member.KeyEnv, key)
	must.NoError(t, member.Write(dir, member.Record{Run: key, Index: 1, Nodes: 2, Alloc: "a1", Node: "n1", Address: l.Addr().String(), Secret: secret.Hex(), Ranks: 1, Threads: 1}))
	d, err := daemon.New(daemon.Options{Listener: l, Secret: secret, Dir: dir})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); _, _ = d.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	leader, err := daemon.Lead(ctx, l.Addr().String(), secret, daemon.Join{Alloc: "a0", Node: "n0"})
	must.NoError(t, err)
	t.Cleanup(func() { _ = leader.Close() })

	var out, errs bytes.Buffer
	code, err := run(ctx, dir, []string{"-x", Host(1, ""), "echo $((6*7)); exit 5"}, &out, &errs)
	must.NoError(t, err)
	must.Eq(t, 5, code)
	must.Eq(t, "42\n", out.String())

	code, err = run(ctx, dir, []string{Host(0, ""), "true"}, &out, &errs)
	must.Eq(t, unreachable, code)
	must.ErrorContains(t, err, "node 0 of the run has no record in .lsdyna-nodes")
	must.Eq(t, []member.AgentFailure{{Node: 0, Why: err.Error()}}, member.AgentFailures(dir, key))
	member.ForgetAgentFailures(dir, key)
	must.SliceEmpty(t, member.AgentFailures(dir, key))
	must.Eq(t, unreachable, Main([]string{"elsewhere", "true"}, &out, &errs))
	must.StrContains(t, errs.String(), "is not a node of this run")
}

// Some launchers do not notice that an agent could start nothing: the run's leader is
// told why. It is not told of what was executed, nor of an agent that nobody wants any more.
func TestRun_TellsTheLeaderWhyNothingWasExecuted(t *testing.T) {
	key := member.Key("default", "bar", "solve")
	t.Setenv(member.KeyEnv, key)
	for name, c := range map[string]struct {
		serve func(t *testing.T, l net.Listener, s wire.Secret)
		ended bool // the launcher has ended the agent
		want  string
	}{
		"nobody listens": {func(t *testing.T, l net.Listener, _ wire.Secret) { must.NoError(t, l.Close()) }, false, "connection refused"},
		"no leader":      {func(t *testing.T, l net.Listener, s wire.Secret) { serve(t, l, s) }, false, "the run has no leader yet"},
		"ended":          {func(t *testing.T, l net.Listener, _ wire.Secret) { must.NoError(t, l.Close()) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must.NoError(t, err)
			secret := wire.NewSecret()
			must.NoError(t, member.Write(dir, member.Record{Run: key, Index: 1, Nodes: 2, Alloc: "a1", Node: "n1", Address: l.Addr().String(), Secret: secret.Hex(), Ranks: 1, Threads: 1}))
			c.serve(t, l, secret)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.ended {
				cancel()
			}
			code, err := run(ctx, dir, []string{Host(1, ""), "true"}, io.Discard, io.Discard)
			must.Eq(t, unreachable, code)
			must.Error(t, err)
			told := member.AgentFailures(dir, key)
			if c.want == "" {
				must.SliceEmpty(t, told)
				return
			}
			must.Len(t, 1, told)
			must.Eq(t, member.AgentFailure{Node: 1, Why: err.Error()}, told[0])
			must.StrContains(t, err.Error(), c.want)
		})
	}
}

func serve(t *testing.T, l net.Listener, s wire.Secret) {
	t.Helper()
	d, err := daemon.New(daemon.Options{Listener: l, Secret: s, Dir: t.TempDir()})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); _, _ = d.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
}
