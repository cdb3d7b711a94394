// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package nodes

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestMemory2_IsTheLeastOfAllNodes(t *testing.T) {
	for name, c := range map[string]struct {
		words []int64
		want  []string
	}{
		"the least":         {[]int64{300, 100, 200}, []string{"memory2=100"}},
		"one does not know": {[]int64{0, 300, 200}, []string{"memory2=200"}},
		"nobody knows":      {[]int64{0, 0}, nil},
	} {
		var all []member.Record
		for _, w := range c.words {
			all = append(all, member.Record{Words: w})
		}
		must.Eq(t, c.want, memory2(all), must.Sprint(name))
	}
}

// What a leader writes for launcher and ranks can be read by nobody else, holds no
// secret, and is gone with it.
func TestPrepare(t *testing.T) {
	t.Chdir(t.TempDir())
	l := &leader{Config: Config{Self: member.Record{Cores: [][]int{{0, 2}, {1, 3}}, Threads: 2}, Solver: lsdyna.Solver{MPI: lsdyna.OpenMPI}}, program: "/opt/driver"}
	must.NoError(t, l.prepare())
	must.NoError(t, l.prepare(), must.Sprint("after one that was killed"))
	text, err := os.ReadFile(filepath.Join(member.Folder, shimName))
	must.NoError(t, err)
	must.Eq(t, "#!/bin/sh\nexec \"${NOMAD_DRIVER_LSDYNA_PROGRAM:-/opt/driver}\" rank \"${NOMAD_DRIVER_LSDYNA_CORES:-0,2/1,3}\" \"${NOMAD_DRIVER_LSDYNA_LEADER:--}\" \"$@\"\n", string(text))
	info, err := os.Stat(filepath.Join(member.Folder, shimName))
	must.NoError(t, err)
	must.Eq(t, 0o600, info.Mode().Perm())
	target, err := os.Readlink(filepath.Join(member.Folder, AgentName))
	must.NoError(t, err)
	must.Eq(t, "/opt/driver", target)
	l.cleanUp()
	_, err = os.Stat(member.Folder)
	must.ErrorIs(t, err, fs.ErrNotExist)

	l.program = "/opt/$(reboot)/driver"
	must.ErrorContains(t, l.prepare(), "has characters that a shell would read")
}

func TestCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	l := &leader{Config: Config{
		Self:    member.Record{Run: "0123456789abcdef", Nodes: 2, Node: "crash01", Ranks: 2, Threads: 1},
		Network: netip.MustParsePrefix("10.77.0.1/24"),
		Solver:  lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: lsdyna.MPICH, MPIRun: "/usr/bin/mpiexec.hydra"},
		Args:    []string{"i=main.k"},
	}, program: "/opt/driver"}
	cmd, err := l.command([]member.Record{l.Self, {Index: 1, Node: "crash02", Ranks: 1, Words: 77}})
	must.NoError(t, err)
	must.SliceContainsSubset(t, cmd.Args, []string{"10.77.0.1:2,lsdyna-node-1-crash02:1", "/opt/mppdyna", "i=main.k", "memory2=77"})
	must.SliceContains(t, cmd.Env, member.KeyEnv+"=0123456789abcdef")
}

// Hydra sends its environment to the other nodes over a connection that is not encrypted:
// what it does not need the leading node's ranks have from the leader.
func TestCommand_HydraKnowsNoLicenceServer(t *testing.T) {
	t.Setenv("LSTC_LICENSE_SERVER", "31010@licences")
	for mpi, knows := range map[lsdyna.MPI]bool{lsdyna.OpenMPI: true, lsdyna.MPICH: false, lsdyna.IntelMPI: false, lsdyna.PlatformMPI: false} {
		t.Run(string(mpi), func(t *testing.T) {
			t.Chdir(t.TempDir())
			l := &leader{Config: Config{
				Self: member.Record{Run: "0123456789abcdef", Nodes: 2, Ranks: 1, Threads: 1}, Network: netip.MustParsePrefix("10.77.0.1/24"),
				Solver: lsdyna.Solver{Name: "mpp", Path: "/opt/mppdyna", Parallel: lsdyna.MPP, Precision: lsdyna.Double, MPI: mpi, MPIRun: "/usr/bin/mpirun"},
			}, program: "/opt/driver"}
			must.NoError(t, l.prepare())
			cmd, err := l.command([]member.Record{l.Self, {Index: 1, Node: "crash02", Ranks: 1}})
			must.NoError(t, err)
			must.Eq(t, knows, strings.Contains(strings.Join(cmd.Env, "\n"), "31010@licences"))
			must.True(t, slices.ContainsFunc(cmd.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }))
			shim, err := os.ReadFile(filepath.Join(member.Folder, shimName))
			must.NoError(t, err)
			must.Eq(t, !knows, strings.Contains(string(shim), LeaderEnv+":-"+strconv.Itoa(os.Getpid())+"}"))
		})
	}
}

// The one message by which Open MPI names the rank that failed first reaches the run's
// stdout, also in pieces. All of it reaches stderr.
func TestNotices(t *testing.T) {
	const killed = "mpirun noticed that process rank 1 with PID 7 on node b exited on signal 9 (Killed).\n"
	for name, c := range map[string]struct {
		parts []string
		want  string
	}{
		"in pieces":     {[]string{"mpirun.openmpi noti", "ced that process rank 1 with PID 7 on node b exited on signal 9 (Killed).\nother", "\nmpirun noticed nothing\n"}, killed},
		"of Open MPI 5": {[]string{"prterun noticed that process rank 1 with PID 7 on node b exited on\nsig", "nal 9 (Killed).\nother\n"}, killed},
		"without end":   {[]string{"prterun noticed that process rank 1 with PID 7 on node b exited on"}, ""},
		"other":         {[]string{"mpirun noticed nothing\nsignal 9\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var errs strings.Builder
			out := captureStdout(t, func() {
				n := &notices{to: &errs}
				for _, part := range c.parts {
					_, err := n.Write([]byte(part))
					must.NoError(t, err)
				}
			})
			must.Eq(t, c.want, out)
			must.Eq(t, strings.Join(c.parts, ""), errs.String())
		})
	}
}

func captureStdout(t *testing.T, do func()) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdout")
	f, err := os.Create(path)
	must.NoError(t, err)
	was := os.Stdout
	os.Stdout = f
	do()
	os.Stdout = was
	must.NoError(t, f.Close())
	data, err := os.ReadFile(path)
	must.NoError(t, err)
	return string(data)
}

// What a solver prints before it has its licence, and when it computes.
const (
	header    = "     Date: 11/29/2026      Time: 11:47:32\n     |  LS-DYNA, A Program for Nonlinear Dynamic            |\n"
	computing = header + " BEGIN implicit dynamics step\n"
)

// The leading node's own stop sends the switch: a second one would mean a second dump.
func TestStop_OneSwitch(t *testing.T) {
	const checkpointLies = "another node is stopped, and a checkpoint was asked for"
	for name, c := range map[string]struct {
		pending     bool
		stop        string
		printed     string
		sent, asked bool
	}{
		"another node is stopped":         {false, "sw1", computing, true, true},
		checkpointLies:                    {false, "sw1", computing, true, true},
		"all nodes are stopped":           {true, "sw1", computing, false, true},
		"the job has no switch for that ": {false, "", computing, false, false},
		"the solver waits for a licence":  {false, "sw1", header, false, false},
		"the solver has printed nothing":  {false, "sw1", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must.NoError(t, os.WriteFile("stdout", []byte(c.printed), 0o600))
			if c.pending {
				must.NoError(t, os.WriteFile(lsdyna.KillFile, []byte("sw1.\n"), 0o600))
			}
			if name == checkpointLies {
				must.NoError(t, os.WriteFile(lsdyna.KillFile, []byte("sw3.\n"), 0o600))
			}
			l := &leader{Config: Config{Stop: c.stop}}
			must.Eq(t, c.asked, l.stop(t.Context(), member.Record{Node: "n1"}))
			must.Eq(t, c.sent, l.sent.Load())
			_, err := os.Stat(lsdyna.KillFile)
			must.Eq(t, c.sent || c.pending, err == nil)
			l.clearSwitch()
			_, err = os.Stat(lsdyna.KillFile)
			must.Eq(t, c.pending, err == nil, must.Sprint("a switch that nobody took goes with the run, unless it is another's"))
		})
	}
	t.Run("the run ends meanwhile", func(t *testing.T) {
		t.Chdir(t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l := &leader{Config: Config{Stop: "sw1"}}
		must.True(t, l.stop(ctx, member.Record{Node: "n1"}))
		must.False(t, l.sent.Load())
	})
}

func TestEnded_IsReadByItsOwnAllocation(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	key := member.Key("default", "bar", "solve")
	must.NoError(t, os.Mkdir(member.Folder, 0o700))
	_, err := ReadEnded(dir, key, 1, "a1")
	must.ErrorIs(t, err, fs.ErrNotExist)
	e := Ended{Alloc: "a1", Leader: "crash01", Code: 1, Kind: output.Failed, Reason: "error termination", At: time.Now().UTC().Truncate(time.Second)}
	must.NoError(t, writeEnded(key, 1, e))
	got, err := ReadEnded(dir, key, 1, "a1")
	must.NoError(t, err)
	must.Eq(t, e, got)
	_, err = ReadEnded(dir, key, 1, "a2")
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.NoError(t, os.WriteFile(filepath.Join(member.Folder, member.FileName("ended", key, 1)), []byte("{"), 0o600))
	_, err = ReadEnded(dir, key, 1, "a1")
	must.ErrorContains(t, err, "unexpected end")
}

// Where others can write in the folder of the records, nothing is executed from there,
// nothing removed, and no end of a run believed.
func TestFolderOfOthers_IsRefused(t *testing.T) {
	const key = "0123456789abcdef"
	dir, other := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	must.NoError(t, writeEnded(key, 1, Ended{Alloc: "a1", Kind: output.Completed}))
	must.NoError(t, os.Rename(member.Folder, filepath.Join(other, "x")))
	must.NoError(t, os.Symlink(filepath.Join(other, "x"), member.Folder))
	must.NoError(t, os.WriteFile(filepath.Join(member.Folder, shimName), nil, 0o600))
	const want = "is a symbolic link"
	_, err := ReadEnded(dir, key, 1, "a1")
	must.ErrorContains(t, err, want)
	must.ErrorContains(t, forgetEnded(key, 1), want)
	must.ErrorContains(t, writeEnded(key, 1, Ended{}), want)
	must.ErrorContains(t, (&leader{program: "/opt/driver"}).prepare(), want)
	left, err := os.ReadDir(filepath.Join(other, "x"))
	must.NoError(t, err)
	must.Len(t, 2, left)
}

func TestConfigFromEnv(t *testing.T) {
	t.Setenv(ConfigEnv, "")
	_, err := configFromEnv()
	must.ErrorContains(t, err, "the driver calls this itself")
	c := Config{Self: member.Record{Index: 1, Nodes: 2}, Network: netip.MustParsePrefix("10.77.0.1/24"), Patience: time.Minute, Stop: "sw1"}
	text, err := c.Encode()
	must.NoError(t, err)
	t.Setenv(ConfigEnv, text)
	got, err := configFromEnv()
	must.NoError(t, err)
	must.Eq(t, c, got)
	_, still := os.LookupEnv(ConfigEnv)
	must.False(t, still, must.Sprint("what it starts does not get it"))
	t.Setenv(ConfigEnv, "{")
	_, err = configFromEnv()
	must.ErrorContains(t, err, ConfigEnv)
}

// Who ends the leading node's task hears that he did.
func TestStopContext(t *testing.T) {
	ctx, stop := stopContext(member.Record{Node: "crash01", Alloc: "77aa"})
	defer stop()
	must.NoError(t, unix.Kill(os.Getpid(), unix.SIGTERM))
	<-ctx.Done()
	must.EqError(t, context.Cause(ctx), "the leading node crash01 (allocation 77aa) got SIGTERM")
}
