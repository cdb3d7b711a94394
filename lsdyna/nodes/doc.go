// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package nodes is one MPP run over several nodes. On each node the driver executes this
// program in the solver's place, with the task's user, cgroup and CPUs: on the leading
// node it waits for the others and runs the MPI launcher (package lead), on the others it
// starts what the launcher asks for (package daemon). The launcher calls this program, too:
// in place of ssh (package agent), and as the first thing of every rank (package rank).
package nodes

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/agent"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// The commands, as found in os.Args[1]. AgentName is the name by which launchers call the
// agent: some of them take a program without arguments.
const (
	LeadCommand   = "lead"
	FollowCommand = "follow"
	AgentCommand  = "launch"
	AgentName     = "lsdyna-launch"
)

// ConfigEnv is the variable that holds the Config of lead and follow. The programs that
// they start do not get it.
const ConfigEnv = "NOMAD_DRIVER_LSDYNA_NODES"

// ProgramEnv is the variable by which a launch daemon tells the ranks of its node where
// this program is.
const ProgramEnv = "NOMAD_DRIVER_LSDYNA_PROGRAM"

// CoresEnv is the variable by which a launch daemon tells the ranks of its node their
// CPUs (package rank).
const CoresEnv = "NOMAD_DRIVER_LSDYNA_CORES"

// LeaderEnv is the variable by which a launch daemon tells the ranks of its node that
// their environment is whole (package rank).
const LeaderEnv = "NOMAD_DRIVER_LSDYNA_LEADER"

// Config is what the driver tells the program that it executes in the solver's place.
type Config struct {
	Self     member.Record `json:"self"`     // without a secret; its address is where a follower listens
	Network  netip.Prefix  `json:"network"`  // the address with its network
	Patience time.Duration `json:"patience"` // for the other nodes
	Stop     string        `json:"stop"`     // the sense switch by which the run is stopped, "" for none

	// Of the leading node.
	Solver lsdyna.Solver  `json:"solver,omitzero"`
	Args   []string       `json:"args,omitempty"` // the solver's
	Root   bool           `json:"root,omitempty"` // the run's user is root
	Stdout string         `json:"stdout,omitempty"`
	JobID  string         `json:"lsdyna_job,omitempty"`
	Old    rundir.Outputs `json:"old,omitzero"` // outputs that were there before the run
}

// Encode makes the value of ConfigEnv.
func (c Config) Encode() (string, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode what the nodes of the run are told: %w", err)
	}
	return string(data), nil
}

// configFromEnv takes the configuration out of the environment.
func configFromEnv() (c Config, err error) {
	text := os.Getenv(ConfigEnv)
	if text == "" {
		return c, fmt.Errorf("the driver calls this itself, not a human: %s is not set", ConfigEnv)
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("%s: %w", ConfigEnv, err)
	}
	return c, os.Unsetenv(ConfigEnv)
}

// The commands run before packages of Nomad are initialised, which takes longer than what
// they do: a launcher waits for some of them.
func init() {
	if code, ours := Main(os.Args); ours {
		os.Exit(code)
	}
}

// Main executes the command that the program was called with, if it is one of these, and
// returns its exit code.
func Main(args []string) (code int, ours bool) {
	if filepath.Base(args[0]) == AgentName {
		return agent.Main(args[1:], os.Stdout, os.Stderr), true
	}
	if len(args) < 2 {
		return 0, false
	}
	var err error
	switch args[1] {
	case AgentCommand:
		return agent.Main(args[2:], os.Stdout, os.Stderr), true
	case LeadCommand, FollowCommand:
		var c Config
		if c, err = configFromEnv(); err != nil {
			code = 2
			break
		}
		if args[1] == LeadCommand {
			code, err = runLeader(c)
		} else {
			code, err = runFollower(c)
		}
	default:
		return 0, false
	}
	if err != nil {
		say("%s: %v", args[1], err)
	}
	return code, true
}

// mark is in every line that this process writes for the driver: no deck knows it.
var mark = sync.OnceValue(func() string {
	var word [8]byte
	_, _ = rand.Read(word[:]) // never fails
	return output.NodesMark(hex.EncodeToString(word[:]))
})

// say writes a line for the operator, and for the driver, which reads the run's outputs
// (package output).
func say(format string, args ...any) {
	fmt.Fprintln(os.Stdout, output.NodesLine+mark()+strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// Ended is how a run ended, as the driver of a node that does not lead finds it in the
// run folder.
type Ended struct {
	Alloc  string      `json:"alloc_id"` // of the node
	Leader string      `json:"leader"`   // the leading node's name
	Code   int         `json:"code"`
	Kind   output.Kind `json:"outcome"`
	Reason string      `json:"reason"`
	At     time.Time   `json:"at"`
}

// maxEnded bounds its file.
const maxEnded = 64 << 10

func writeEnded(run string, index int, e Ended) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return member.InFolder(".", func(dir string) error {
		return durable.WriteFile(filepath.Join(dir, member.FileName("ended", run, index)), data)
	})
}

// forgetEnded removes what was told of an earlier run.
func forgetEnded(run string, index int) error {
	if err := member.CheckFolder("."); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(member.Folder, member.FileName("ended", run, index)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was told of an earlier run: %w", err)
	}
	return nil
}

// ReadEnded reads how the run ended in which a node took part. It is called with the
// rights of the run's user, in whose folder it reads.
func ReadEnded(runFolder, run string, index int, alloc string) (e Ended, err error) {
	if err := member.CheckFolder(runFolder); err != nil {
		return Ended{}, err
	}
	path := filepath.Join(runFolder, member.Folder, member.FileName("ended", run, index))
	data, err := durable.ReadFile(path, maxEnded)
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		return Ended{}, fmt.Errorf("read %s: %w", path, err)
	}
	if e.Alloc != alloc {
		return Ended{}, fmt.Errorf("%s is of another allocation: %w", path, fs.ErrNotExist)
	}
	return e, nil
}
