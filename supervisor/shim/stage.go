// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// StageOrder tells a launch stage what to become.
type StageOrder struct {
	// Argv[0] is executed: an absolute path, or a name that is looked up in
	// Env's PATH as the user.
	Argv []string `json:"argv"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
	User User     `json:"user"`

	Join []string `json:"join,omitempty"` // cgroups that the stage has to join itself
	CPUs []int    `json:"cpus,omitempty"`

	Memory Memory `json:"memory,omitzero"`

	// AllowSetuid: what is executed may gain rights (Spec.AllowSetuid).
	AllowSetuid bool `json:"allow_setuid,omitempty"`

	// THP: allow transparent huge pages again (DisableTHP).
	THP bool `json:"thp,omitempty"`

	// Stdout and Stderr are files to open in Dir; their read-only
	// descriptors go back over the socket and the stage waits for a last word.
	// Both empty: the streams stay as they are and nothing is waited for.
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
}

// StageReport is a stage's answer. After Ready the socket closes by itself
// when the exec has succeeded; an Error may still come.
type StageReport struct {
	Ready bool   `json:"ready,omitempty"`
	Error string `json:"error,omitempty"`
}

// stageMain runs on the main thread, to which Go keeps every init: whatever is
// set for one thread below is set for the one that executes the solver.
func stageMain() int {
	control, ok := inherited(StageCommand)
	if !ok {
		return refused
	}
	var o StageOrder
	if err := control.receive(&o); err != nil {
		return refused // whoever started us is gone
	}
	err := o.run(control)
	_ = control.send(StageReport{Error: err.Error()})
	return 127
}

// run becomes the command and only returns when it cannot.
func (o *StageOrder) run(control *conn) error {
	if err := o.enter(); err != nil {
		return err
	}
	if err := o.become(); err != nil {
		return err
	}
	if o.Stdout != "" {
		if err := o.redirect(control); err != nil {
			return err
		}
		var last Order
		if err := control.receive(&last); err != nil || !last.Go {
			return fmt.Errorf("launch %s: called off", o.Argv[0])
		}
	}
	resetSignals()
	if err := keepDescriptors(); err != nil {
		return err
	}
	return o.exec()
}

// enter sets what needs root's rights: cgroup, CPUs, memory policy, OOM score,
// limits.
func (o *StageOrder) enter() error {
	for _, dir := range o.Join {
		if err := join(dir); err != nil {
			return err
		}
	}
	// Only from inside the cgroup: the kernel forgets or overrides an affinity when a
	// process enters a cpuset (before Linux 6.2).
	if err := bind(o.CPUs); err != nil {
		return err
	}
	if err := o.Memory.set(); err != nil {
		return err
	}
	if o.THP {
		if err := setTHPDisabled(false); err != nil {
			return fmt.Errorf("allow transparent huge pages: %w", err)
		}
	}
	if err := resetOOMScore(); err != nil {
		return err
	}
	return raiseLimits()
}

// bind binds the calling thread; without CPUs it stays as it is.
func bind(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	set, err := cpuset.FromSlice(cpus)
	if err != nil {
		return fmt.Errorf("bind to CPUs: %w", err)
	}
	return affinity.Bind(0, set)
}

// set gives the calling thread the policy. A preference that may not be set, as in
// many a container, is no reason not to run; a promise is.
func (m *Memory) set() error {
	switch m.Policy {
	case MemoryLocal:
		_ = proctree.SetMemoryPolicy(proctree.MemoryDefault, nil)
	case MemoryBind:
		if err := proctree.SetMemoryPolicy(proctree.MemoryBind, m.Nodes); err != nil {
			return fmt.Errorf("set memory policy %s %s: %w", m.Policy, cpuset.Of(m.Nodes...), err)
		}
	}
	return nil
}

// join moves this process into a cgroup.
func join(dir string) error {
	done, err := proctree.WriteCgroup(dir, "cgroup.procs", "0")
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("join cgroup %s: its cpuset has no CPUs or no memory nodes: %w", dir, err)
	case err != nil:
		return fmt.Errorf("join cgroup %s: %w", dir, err)
	case !done:
		return fmt.Errorf("join cgroup %s: %w", dir, syscall.ENOENT)
	}
	return nil
}

// resetOOMScore gives the solver an ordinary standing with the OOM killer.
// systemd starts Nomad with -1000 on some systems, which everything it starts
// inherits; then the kernel would kill everything but the solver that filled
// the memory.
func resetOOMScore() error {
	const path = "/proc/self/oom_score_adj"
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read OOM score adjustment: %w", err)
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(old)))
	if err != nil || score == 0 {
		return err
	}
	err = os.WriteFile(path, []byte("0"), 0) //nolint:forbidigo // no file on a disk
	if err != nil && score > 0 {
		return nil // lowering it may be a privilege; a higher one harms nobody else
	}
	if err != nil {
		return fmt.Errorf("reset OOM score adjustment from %d to 0: %w", score, err)
	}
	return nil
}

// become drops to the task's user and goes to the run folder as that user, so
// that no link in a path sends root anywhere.
func (o *StageOrder) become() error {
	if err := o.User.Become(); err != nil {
		return err
	}
	if !o.AllowSetuid {
		if err := renounce(); err != nil {
			return fmt.Errorf("forbid user %s to gain rights: %w", o.User, err)
		}
	}
	syscall.Umask(0o022)
	if err := os.Chdir(o.Dir); err != nil {
		return fmt.Errorf("enter run folder as user %s: %w", o.User, err)
	}
	return nil
}

// exec becomes the command. syscall.Exec also puts back the descriptor limit
// that Go raised for itself.
func (o *StageOrder) exec() error {
	name := o.Argv[0]
	if strings.Contains(name, "/") {
		return fmt.Errorf("execute %s: %w", name, syscall.Exec(name, o.Argv, o.Env))
	}
	failure := error(syscall.ENOENT)
	for dir := range strings.SplitSeq(lookup(o.Env, "PATH"), ":") {
		if !strings.HasPrefix(dir, "/") {
			continue // not what happens to lie in the run folder
		}
		err := syscall.Exec(dir+"/"+name, o.Argv, o.Env)
		if err != syscall.ENOENT && err != syscall.ENOTDIR {
			failure = err
		}
	}
	return fmt.Errorf("execute %s: %w", name, failure)
}

func lookup(env []string, key string) string {
	for _, kv := range slices.Backward(env) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == key {
			return v
		}
	}
	return ""
}
