// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
)

// SpecVersion is the version of spec.json that this program writes. A
// supervisor is the program that was running at the task's start, so a plugin
// may meet records of an older one, never the other way round.
const SpecVersion = 1

// CgroupMode says which kind of cgroups a task has.
type CgroupMode string

// The kinds of cgroups.
const (
	CgroupNone CgroupMode = "none" // no cgroups: an unprivileged plugin
	CgroupV1   CgroupMode = "v1"
	CgroupV2   CgroupMode = "v2"
)

// Spec is everything a supervisor needs to run one task, except the
// environment, which may hold tokens and never touches the disk.
type Spec struct {
	Version int    `json:"version"`
	TaskID  string `json:"task_id"` // copied into exit.json

	// Command is the absolute path of what is executed, Args its
	// arguments without argv[0].
	Command string   `json:"command"`
	Args    []string `json:"args"`

	// Dir is the run folder: an absolute path as the task's user sees it.
	Dir  string `json:"dir"`
	User User   `json:"user"`

	Cgroups Cgroups `json:"cgroups"`
	Limits  Limits  `json:"limits"`

	// CPUs are the logical CPUs that the solver is bound to, and what the
	// pid file says. Empty: it runs without affinity.
	CPUs []int `json:"cpus"`

	// Memory says where the solver's memory comes from.
	Memory Memory `json:"memory,omitzero"`

	// AllowSetuid lets the task gain rights through setuid programs, which it
	// may not otherwise (no_new_privs).
	AllowSetuid bool `json:"allow_setuid,omitempty"`

	// StdoutName and StderrName are file names in the run folder. The same
	// name for both is allowed.
	StdoutName string `json:"stdout_name"`
	StderrName string `json:"stderr_name"`

	// StdoutFIFO and StderrFIFO are the absolute paths of Nomad's log
	// FIFOs. They may be empty (no copying) or appear later.
	StdoutFIFO string `json:"stdout_fifo,omitempty"`
	StderrFIFO string `json:"stderr_fifo,omitempty"`
}

// MemoryPolicy is the kernel's memory policy that a solver is born with.
type MemoryPolicy string

const (
	// MemoryInherited leaves the policy as it came from whoever started the agent.
	MemoryInherited MemoryPolicy = ""

	// MemoryLocal takes memory from the node of the CPU that asks for it, and
	// from the nearest with free memory when that one is full. For a solver bound to
	// the cores of one node it is the same as preferring that node, and unlike a
	// policy that names nodes, which nobody can change from outside, it goes along
	// when the solver is moved.
	MemoryLocal MemoryPolicy = "local"

	// MemoryBind takes memory from Nodes only, for the whole of the run.
	MemoryBind MemoryPolicy = "bind"
)

// Memory is a memory policy, with the NUMA nodes of MemoryBind.
type Memory struct {
	Policy MemoryPolicy `json:"policy,omitempty"`
	Nodes  []int        `json:"nodes,omitempty"`
}

func (m *Memory) validate() error {
	switch m.Policy {
	case MemoryInherited, MemoryLocal:
		return nil
	case MemoryBind:
		if len(m.Nodes) == 0 {
			return fmt.Errorf("memory is to be bound, but to no NUMA node")
		}
		for _, n := range m.Nodes {
			if n < 0 || n >= proctree.MaxNodes {
				return fmt.Errorf("memory is to be bound to %d, which is no NUMA node", n)
			}
		}
		return nil
	}
	return fmt.Errorf("memory policy %q is none of local, bind", m.Policy)
}

// User is who the task runs as.
type User = creds.User

// Cgroups says where the task's processes live. All paths are absolute.
type Cgroups struct {
	Mode CgroupMode `json:"mode"`

	// Join is joined before anything else: with v2 exactly one directory,
	// with v1 one for each of the freezer, cpu, memory and cpuset hierarchies.
	Join []string `json:"join,omitempty"`

	// Pids is the directory among Join that Nomad does not make: with v1 the
	// supervisor makes it for Limits.Processes, and removes it at the end.
	Pids string `json:"pids,omitempty"`

	// Freezer, CPU and Memory are the directories among Join that the
	// supervisor kills through, writes shares to, and reads limits and OOM kills
	// from. With v2 all are the one directory and may be left empty.
	Freezer string `json:"freezer,omitempty"`
	CPU     string `json:"cpu,omitempty"`
	Memory  string `json:"memory,omitempty"`

	// LeafCpuset is the directory whose cpuset.cpus belongs to this task
	// alone and may be written: v1 only with reserved cores (the share cpuset is
	// everybody's), v2 the task's scope. Empty: none is.
	LeafCpuset string `json:"leaf_cpuset,omitempty"`

	// CPUs and Mems are written to LeafCpuset, in the kernel's list format
	// ("0-3,8"); empty means leave as it is.
	CPUs string `json:"cpus,omitempty"`
	Mems string `json:"mems,omitempty"`
}

// Limits are written to the task's cgroup before the launch, as raw_exec
// does; a file that the cgroup does not have is passed over.
type Limits struct {
	// MemoryMax is the hard limit in bytes: v2 memory.max, v1
	// memory.limit_in_bytes. 0 writes nothing, negative means no limit.
	MemoryMax int64 `json:"memory_max,omitempty"`

	// MemoryLow is what the kernel should leave to the task under pressure,
	// in bytes: v2 memory.low, v1 memory.soft_limit_in_bytes. 0 writes nothing.
	MemoryLow int64 `json:"memory_low,omitempty"`

	// CPUShares is v1's cpu.shares (1024 is one usual share), CPUWeight
	// v2's cpu.weight (1..10000, 100 is usual; see supervisor.CPUWeight). 0 writes
	// nothing.
	CPUShares int64 `json:"cpu_shares,omitempty"`
	CPUWeight int64 `json:"cpu_weight,omitempty"`

	// Processes is how many processes and threads the task may have: pids.max,
	// with v1 of Cgroups.Pids. 0 writes nothing.
	Processes int64 `json:"processes,omitempty"`
}

// maxSpecBytes bounds what is written and read: arguments are as large as an exec takes.
const maxSpecBytes = 16 << 20

// ReadSpec reads and validates dir/spec.json.
func ReadSpec(dir string) (*Spec, error) {
	data, err := durable.ReadFile(dir+"/"+durable.SpecFile, maxSpecBytes)
	if err != nil {
		return nil, fmt.Errorf("read task specification: %w", err)
	}
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read task specification in %s: %w", dir, err)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("task specification in %s: %w", dir, err)
	}
	return &s, nil
}

// WriteSpec validates the specification and writes dir/spec.json whole.
func WriteSpec(dir string, s *Spec) error {
	c := *s
	c.Version = SpecVersion
	if err := c.Validate(); err != nil {
		return fmt.Errorf("task specification: %w", err)
	}
	data, err := json.Marshal(&c)
	if err != nil {
		return fmt.Errorf("task specification: %w", err)
	}
	if len(data) >= maxSpecBytes {
		return fmt.Errorf("task specification: %d bytes are more than the %d that are read", len(data), maxSpecBytes)
	}
	return durable.WriteFile(dir+"/"+durable.SpecFile, append(data, '\n'))
}

// Validate reports what a supervisor could not work with.
func (s *Spec) Validate() error {
	switch {
	case s.Version < 1 || s.Version > SpecVersion:
		return fmt.Errorf("version %d is not one this program knows (1 to %d)", s.Version, SpecVersion)
	case !absolute(s.Command):
		return fmt.Errorf("command %q is not an absolute path", s.Command)
	case !absolute(s.Dir):
		return fmt.Errorf("run folder %q is not an absolute path", s.Dir)
	case s.User.UID < 0 || s.User.GID < 0:
		return fmt.Errorf("user id %d or group id %d is negative", s.User.UID, s.User.GID)
	}
	for _, name := range []string{s.StdoutName, s.StderrName} {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("output file name %q is not a plain file name", name)
		}
	}
	for _, path := range []string{s.StdoutFIFO, s.StderrFIFO} {
		if path != "" && !absolute(path) {
			return fmt.Errorf("log FIFO %q is not an absolute path", path)
		}
	}
	if _, err := cpuset.FromSlice(s.CPUs); err != nil {
		return err
	}
	if err := s.Memory.validate(); err != nil {
		return err
	}
	return s.Cgroups.validate()
}

func (c *Cgroups) validate() error {
	switch c.Mode {
	case CgroupNone:
		if len(c.Join) > 0 || c.LeafCpuset != "" {
			return fmt.Errorf("there are cgroups to join, but the mode is %q", c.Mode)
		}
	case CgroupV2:
		if len(c.Join) != 1 {
			return fmt.Errorf("with cgroup v2 there is one cgroup to join, not %d", len(c.Join))
		}
	case CgroupV1:
		if c.Freezer == "" {
			return fmt.Errorf("with cgroup v1 a freezer cgroup is needed, to end the task's processes")
		}
	default:
		return fmt.Errorf("cgroup mode %q is none of v1, v2, none", c.Mode)
	}
	for _, dir := range append([]string{c.Pids, c.Freezer, c.CPU, c.Memory, c.LeafCpuset}, c.Join...) {
		if dir != "" && !absolute(dir) {
			return fmt.Errorf("cgroup %q is not an absolute path", dir)
		}
	}
	return nil
}

// Processes is the directory whose cgroup.procs lists every process of the
// task, or "" without cgroups.
func (c *Cgroups) Processes() string {
	switch c.Mode {
	case CgroupV1:
		return c.Freezer
	case CgroupV2:
		return c.Join[0]
	}
	return ""
}

// controller returns the v1 directory of a controller, or the one v2 directory.
func (c *Cgroups) controller(v1 string) string {
	if c.Mode == CgroupV2 {
		return c.Join[0]
	}
	return v1
}

func absolute(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "\x00")
}
