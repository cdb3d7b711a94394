// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package agent is what an MPI launcher calls in place of ssh: with a host and with the
// words that are to be executed there. The host is a label, which names a node of the
// run; nothing resolves it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/daemon"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/member"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// hostPrefix begins the label of a node.
const hostPrefix = "lsdyna-node-"

// maxName bounds what a label has of a node's name.
const maxName = 40

// Host is the label of a node of the run. Its name in Nomad is in it for whoever reads
// the launcher's messages. It has no dot: Open MPI takes what follows one away.
func Host(index int, name string) string {
	label := hostPrefix + strconv.Itoa(index)
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name[:min(len(name), maxName)], "-"); name == "" {
		return label
	}
	return label + "-" + name
}

// unreachable is the exit code of ssh that cannot do what it is asked for.
const unreachable = 255

// withValue are the options of ssh that take a value, in the same word or the next.
const withValue = "BbcDEeFIiJLlmOopQRSWw"

// Call is what a launcher calls an agent with.
type Call struct {
	Node  int
	Words []string
}

// Parse reads the arguments of an agent: options as ssh takes them, which say nothing
// here, a host, and the words of a command.
func Parse(args []string) (Call, error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option := args[0]
		args = args[1:]
		if option == "--" {
			break
		}
		if takesNext(option) && len(args) > 0 {
			args = args[1:]
		}
	}
	if len(args) < 2 {
		return Call{}, errors.New("usage: launch HOST COMMAND…: an MPI launcher calls this in place of ssh")
	}
	_, host, found := strings.Cut(args[0], "@") // user@host
	if !found {
		host = args[0]
	}
	number, ours := strings.CutPrefix(host, hostPrefix)
	number, _, _ = strings.Cut(number, "-")
	node, err := strconv.Atoi(number)
	if !ours || err != nil || node < 0 || node >= member.MaxNodes || strconv.Itoa(node) != number {
		return Call{}, fmt.Errorf("host %q is not a node of this run: their labels are %s, %s, …", host, Host(0, ""), Host(1, ""))
	}
	return Call{Node: node, Words: args[1:]}, nil
}

// takesNext reports whether an option's value is the next word: the last letter of a
// cluster takes one, and an earlier one that does has the rest of the word.
func takesNext(option string) bool {
	letters := option[1:]
	for i, letter := range letters {
		if strings.ContainsRune(withValue, letter) {
			return i == len(letters)-1
		}
	}
	return false
}

// Main has the command executed on its node, and returns the exit code. It is called in
// the run folder, as all that a launcher calls.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer stop()
	code, err := run(ctx, ".", args, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "nomad-driver-lsdyna launch: %v\n", err)
	}
	return code
}

func run(ctx context.Context, runFolder string, args []string, stdout, stderr io.Writer) (int, error) {
	call, err := Parse(args)
	if err != nil {
		return unreachable, err
	}
	code, err := execute(ctx, runFolder, call, stdout, stderr)
	// Some launchers go on without the node: the run's leader ends them. Of a node whose
	// daemon is gone it knows, and a launcher that ends its agent does not want it.
	var start *daemon.StartError
	if errors.As(err, &start) && ctx.Err() == nil {
		tell := member.AgentFailure{Node: call.Node, Why: err.Error()}
		if told := member.TellAgentFailure(runFolder, os.Getenv(member.KeyEnv), tell); told != nil {
			err = fmt.Errorf("%w; and the run's leader cannot be told: %w", err, told)
		}
	}
	return code, err
}

func execute(ctx context.Context, runFolder string, call Call, stdout, stderr io.Writer) (int, error) {
	r, err := member.Read(runFolder, os.Getenv(member.KeyEnv), call.Node)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("node %d of the run has no record in %s: it is not there, or this is not the run folder", call.Node, member.Folder)
	}
	if err != nil {
		return unreachable, &daemon.StartError{Err: err}
	}
	secret, err := wire.ParseSecret(r.Secret)
	if err != nil {
		return unreachable, &daemon.StartError{Err: err}
	}
	code, err := daemon.Execute(ctx, r.Address, secret, call.Words, nil, stdout, stderr)
	if err != nil {
		return code, fmt.Errorf("node %s (%s): %w", r.Node, r.Address, err)
	}
	return code, nil
}
