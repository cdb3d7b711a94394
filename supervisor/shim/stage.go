// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/affinity"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
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
// when the exec has succeeded; an Error may still come, or from a forked place the
// number of the step that failed and the kernel's error.
type StageReport struct {
	Ready bool          `json:"ready,omitempty"`
	Error string        `json:"error,omitempty"`
	Step  int           `json:"step,omitempty"`
	Errno syscall.Errno `json:"errno,omitempty"`
}

// stageMain runs on the main thread, to which Go keeps every init: whatever is
// set for one thread below is set for the one that executes the command.
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
	var l rawcall.List
	if err := o.plan(&l, control.fd); err != nil {
		return err
	}
	if err := l.Run(); err != nil {
		return err
	}
	rawcall.ResetSignals()
	return o.exec()
}

// plan lists what there is to do in the command's place, up to its exec. Limits and the
// OOM score are looked at here: whoever runs the list inherits them from this process.
func (o *StageOrder) plan(l *rawcall.List, control int) error {
	if err := keepDescriptors(); err != nil {
		return err
	}
	if err := o.enter(l); err != nil {
		return err
	}
	if err := o.become(l); err != nil {
		return err
	}
	if o.Stdout != "" {
		if err := o.redirect(l, control); err != nil {
			return err
		}
	}
	return l.Err()
}

// enter sets what needs root's rights: cgroup, CPUs, memory policy, OOM score,
// limits.
func (o *StageOrder) enter(l *rawcall.List) error {
	for _, dir := range o.Join {
		join(l, dir)
	}
	// Only from inside the cgroup: the kernel forgets or overrides an affinity when a
	// process enters a cpuset (before Linux 6.2).
	if err := bind(l, o.CPUs); err != nil {
		return err
	}
	if err := o.Memory.set(l); err != nil {
		return err
	}
	if o.THP {
		l.Call("allow transparent huge pages", syscall.SYS_PRCTL, prSetTHPDisable, 0)
	}
	if err := resetOOMScore(l); err != nil {
		return err
	}
	return raiseLimits(l)
}

// bind binds the thread; without CPUs it stays as it is.
func bind(l *rawcall.List, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	set, err := cpuset.FromSlice(cpus)
	if err != nil {
		return fmt.Errorf("bind to CPUs: %w", err)
	}
	affinity.PlanBind(l, set)
	return nil
}

// set gives the thread the policy. A preference that may not be set, as in many a
// container, is no reason not to run; a promise is.
func (m *Memory) set(l *rawcall.List) error {
	what := fmt.Sprintf("set memory policy %s %s", m.Policy, cpuset.Of(m.Nodes...))
	switch m.Policy {
	case MemoryLocal:
		preferred, err := proctree.PlanMemoryPolicy(l, what, proctree.MemoryDefault, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		preferred.MayFail()
	case MemoryBind:
		if _, err := proctree.PlanMemoryPolicy(l, what, proctree.MemoryBind, m.Nodes); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// write puts on the list that a value is written to a file of the kernel's.
func write(l *rawcall.List, what, path, value string) (opened, written *rawcall.Step) {
	var file rawcall.Result
	opened = l.Call(what, syscall.SYS_OPENAT, rawcall.CWD, l.String(path), syscall.O_WRONLY|syscall.O_CLOEXEC).Into(&file)
	written = l.Call(what, syscall.SYS_WRITE, 0, l.Bytes([]byte(value)), uintptr(len(value))).On(&file)
	l.Call(what, syscall.SYS_CLOSE).On(&file).MayFail()
	return opened, written
}

// join moves the process into a cgroup.
func join(l *rawcall.List, dir string) {
	_, joined := write(l, "join cgroup "+dir, dir+"/cgroup.procs", "0")
	joined.Explain(func(_ int, errno syscall.Errno) error {
		if errno == syscall.ENOSPC {
			return fmt.Errorf("join cgroup %s: its cpuset has no CPUs or no memory nodes: %w", dir, errno)
		}
		return fmt.Errorf("join cgroup %s: %w", dir, errno)
	})
}

// resetOOMScore gives the solver an ordinary standing with the OOM killer.
// systemd starts Nomad with -1000 on some systems, which everything it starts
// inherits; then the kernel would kill everything but the solver that filled
// the memory.
func resetOOMScore(l *rawcall.List) error {
	const path = "/proc/self/oom_score_adj"
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read OOM score adjustment: %w", err)
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(old)))
	if err != nil || score == 0 {
		return err
	}
	opened, reset := write(l, fmt.Sprintf("reset OOM score adjustment from %d to 0", score), path, "0")
	if score > 0 { // lowering it may be a privilege; a higher one harms nobody else
		opened.MayFail()
		reset.MayFail()
	}
	return nil
}

// become drops to the task's user and goes to the run folder as that user, so
// that no link in a path sends root anywhere.
func (o *StageOrder) become(l *rawcall.List) error {
	if err := o.User.Become(l); err != nil {
		return err
	}
	if !o.AllowSetuid {
		// Setuid, setgid and capability bits mean nothing to the thread, and to all that
		// it executes, from now on.
		l.Call(fmt.Sprintf("forbid user %s to gain rights", o.User), syscall.SYS_PRCTL, prSetNoNewPrivs, 1)
	}
	l.Call("set umask", syscall.SYS_UMASK, 0o022)
	l.Call(fmt.Sprintf("enter run folder as user %s: chdir %s", o.User, o.Dir), syscall.SYS_CHDIR, l.String(o.Dir))
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
