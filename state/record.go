// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Record is the folder of one run.
type Record struct {
	ID  ID
	Dir string

	lock *os.File // held by this process; only between Create and Unlock

	mu      sync.Mutex // over what is written beside the run's life, and Remove
	removed bool
}

func (r *Record) path(name string) string { return filepath.Join(r.Dir, name) }

// Lock returns the lock file that Create flocked, to be inherited by the
// supervisor: a flock belongs to the open file, so it passes on without a gap.
func (r *Record) Lock() *os.File { return r.lock }

// Unlock lets go of this process's hold; an inherited one stays.
func (r *Record) Unlock() {
	if r.lock != nil {
		_ = r.lock.Close()
		r.lock = nil
	}
}

// Release is Unlock for a lock that no supervisor has inherited: it is free at once
// (durable.Unlock).
func (r *Record) Release() {
	if r.lock != nil {
		_ = durable.Unlock(r.lock)
		r.lock = nil
	}
}

// Locked reports whether somebody holds the record: a supervisor whose solver's
// tree is not gone yet, or a plugin that is just starting one.
func (r *Record) Locked() bool {
	if r.lock != nil {
		return true
	}
	held, err := durable.Held(r.path(durable.LockFile))
	return err == nil && held
}

// TryLock takes the record's lock, unless somebody holds it: nobody can start a
// solver in the record until Unlock. The error wraps ErrHeld then.
func (r *Record) TryLock() error {
	return r.takeLock(os.O_RDWR | os.O_CREATE)
}

func (r *Record) takeLock(flag int) error {
	lock, err := durable.Lock(r.path(durable.LockFile), flag)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.lock = lock
	return nil
}

// ErrHeld means that a supervisor or a plugin holds a record's lock.
var ErrHeld = durable.ErrHeld

// Remove deletes the record, and the folders above it that become empty. The
// caller knows that the run is over.
func (r *Record) Remove() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = true
	if err := os.RemoveAll(r.Dir); err != nil {
		return fmt.Errorf("remove record: %w", err)
	}
	task := filepath.Dir(r.Dir)
	if os.Remove(task) == nil { // fails, as it should, while other runs are there
		_ = os.Remove(filepath.Dir(task))
	}
	return nil
}

// DetailsVersion is the version of Details that this plugin writes.
const DetailsVersion = 1

// Details is task.json: what the plugin and the status command need to know of
// a run beyond its process, for as long as the record exists.
type Details struct {
	Version   int       `json:"version"`
	TaskID    string    `json:"task_id"`
	JobID     string    `json:"job_id"`
	JobName   string    `json:"job_name"`
	Namespace string    `json:"namespace"`
	Group     string    `json:"group"`
	Task      string    `json:"task"`
	AllocID   string    `json:"alloc_id"`
	AllocDir  string    `json:"alloc_dir"`
	NodeID    string    `json:"node_id,omitempty"` // of the Nomad client
	NodeName  string    `json:"node_name,omitempty"`
	Nodes     int       `json:"nodes,omitempty"`      // of the run; 0 for one
	NodeIndex int       `json:"node_index,omitempty"` // of this one; 0 leads
	NodesKey  string    `json:"nodes_key,omitempty"`  // tells the job's runs from others in the folder
	StartedAt time.Time `json:"started_at"`
	User      string    `json:"user"`
	UID       int       `json:"uid"`
	GID       int       `json:"gid"`
	Groups    []int     `json:"groups,omitempty"`
	Home      string    `json:"home,omitempty"`

	Solver    string `json:"solver"` // name in the agent's configuration, "" for a command of the job's own
	Parallel  string `json:"parallel"`
	Precision string `json:"precision"`
	MPI       string `json:"mpi,omitempty"`        // whose launcher runs the ranks, "" for none; not in records of old plugins
	RunBase   string `json:"run_base"`             // the trusted folder: the task directory or a work root
	RunFolder string `json:"run_dir"`              // below RunBase
	RunDevice uint64 `json:"run_device,omitempty"` // the run folder itself, at the start
	RunInode  uint64 `json:"run_inode,omitempty"`
	Stdout    string `json:"stdout"` // name in the run folder
	Input     string `json:"input"`
	LSDynaJob string `json:"lsdyna_jobid"` // jobid=

	CoresAsked   int           `json:"cores_asked"`
	Reserved     bool          `json:"reserved"` // by Nomad: resources.cores
	CgroupParent string        `json:"cgroup_parent"`
	Placement    string        `json:"placement"`         // why these cores, in words
	Ranks        int           `json:"ranks,omitempty"`   // on this node; 0: not known, as in records of old plugins
	Threads      int           `json:"threads,omitempty"` // of each rank
	Stop         string        `json:"stop"`              // sense switch tried first
	Restart      string        `json:"restart"`           // dump that the run began with, "" for the deck
	StartTimeout time.Duration `json:"start_timeout_ns"`
	Report       bool          `json:"report,omitempty"` // a page about the run is left in its folder

	Watch          json.RawMessage `json:"watch,omitempty"`           // bounds of the run's health (package driver); nothing for none
	Checkpoint     time.Duration   `json:"checkpoint_ns,omitempty"`   // between dumps; 0 for none
	CheckpointKeep int             `json:"checkpoint_keep,omitempty"` // that stay

	StartFailed bool            `json:"start_failed,omitempty"` // Nomad was told so, but not everything could be ended
	Old         json.RawMessage `json:"old_outputs,omitempty"`  // what lay in the run folder before (package lsdyna)

	Deck string `json:"deck,omitempty"` // its hash (package lsdyna); "" where nobody has read the deck

	// Completed: the run was completed before, and is not computed again. There are no
	// processes, and the task ends as that run ended (package lsdyna).
	Completed json.RawMessage `json:"completed,omitempty"`
}

// InAlloc reports whether the run folder is inside the allocation: Nomad deletes it
// with the allocation.
func (d *Details) InAlloc() bool {
	return d.AllocDir != "" && d.RunBase != "" && strings.HasPrefix(filepath.Join(d.RunBase, d.RunFolder), d.AllocDir+"/")
}

// RunPath is the path of the run folder, for people; "" where it is not known.
func (d *Details) RunPath() string {
	if d.RunBase == "" {
		return ""
	}
	return filepath.Join(d.RunBase, d.RunFolder)
}

// maxDetails bounds what is written and read back, in bytes.
const maxDetails = 4 << 20

// Encode returns the details as they stand in task.json. It fails when they are larger
// than what can be read back.
func (d *Details) Encode() ([]byte, error) {
	d.Version = DetailsVersion
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode task.json: %w", err)
	}
	if len(data) > maxDetails {
		return nil, fmt.Errorf("encode task.json: %d bytes are more than the %d that can be kept of a run", len(data), maxDetails)
	}
	return data, nil
}

// DecodeDetails reads what Encode wrote, also by an older plugin.
func DecodeDetails(data []byte) (Details, error) {
	var d Details
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("decode task.json: %w", err)
	}
	if d.Version > DetailsVersion {
		return d, fmt.Errorf("task.json of version %d %w", d.Version, ErrNewer)
	}
	return d, nil
}

// WriteDetails writes task.json whole.
func (r *Record) WriteDetails(d *Details) error {
	data, err := d.Encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(r.path(durable.TaskFile), data)
}

// ReadDetails reads task.json.
func (r *Record) ReadDetails() (Details, error) {
	data, err := durable.ReadFile(r.path(durable.TaskFile), maxDetails)
	if err != nil {
		return Details{}, fmt.Errorf("read record: %w", err)
	}
	return DecodeDetails(data)
}
