// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package member has the record by which the nodes of one run find each other. The run
// folder is what they share: each node's launch daemon writes one file there, and who
// leads the run reads them.
//
// A file alone makes nobody a member: what an earlier run left looks the same. The daemon
// at its address must prove that it knows the file's secret, which it made for this run
// alone (package wire).
package member

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// Folder is the folder of the records, in the run folder.
const Folder = ".lsdyna-nodes"

// version is that of the records. A node with another one is told so.
const version = 1

// MaxNodes bounds the nodes of a run.
const MaxNodes = 1024

// maxRecord bounds a record's file.
const maxRecord = 64 << 10

// Record is what the other nodes of a run must know of one.
type Record struct {
	Version int    `json:"version"`
	Run     string `json:"run"`   // Key of the job's task
	Index   int    `json:"index"` // of the allocation in its group; 0 leads
	Nodes   int    `json:"nodes"` // of the run
	Alloc   string `json:"alloc_id"`
	Task    string `json:"task"`
	Node    string `json:"node"`    // its name in Nomad
	Address string `json:"address"` // host:port of its launch daemon
	Secret  string `json:"secret"`

	Ranks   int     `json:"ranks"`
	Threads int     `json:"threads"`                // of each rank
	Cores   [][]int `json:"cores"`                  // of each rank, logical CPU numbers; empty: not pinned
	Words   int64   `json:"memory_words,omitempty"` // that memory2= may ask for here; 0: not known

	Same Same      `json:"same"`
	At   time.Time `json:"written_at"`
}

// Same is what all nodes of a run must have the same.
type Same struct {
	Version   string `json:"version"` // its version
	Solver    string `json:"solver"`  // path
	Parallel  string `json:"parallel"`
	Precision string `json:"precision"`
	MPI       string `json:"mpi"`
	MPIRun    string `json:"mpirun"`
	Input     string `json:"input"`
	NCPU      int    `json:"ncpu"`
}

// Key tells the runs of several jobs apart that share a run folder: one that waits for
// the folder must not take the nodes of the one that has it. The nodes of one run may be
// of several groups of the job.
func Key(namespace, job, task string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{namespace, job, task}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// KeyEnv is the variable by which a leading node tells its launch agents the Key.
const KeyEnv = "NOMAD_DRIVER_LSDYNA_RUN"

// FileName is the name of one node's file of a kind.
func FileName(kind, run string, index int) string {
	return kind + "-" + run + "-" + strconv.Itoa(index) + ".json"
}

// fileName is the name of one node's record.
func fileName(run string, index int) string { return FileName("member", run, index) }

// isKey reports whether a text can be a Key.
func isKey(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == 16
}

// Write writes a record, whole, so that nobody but the run's user can read it.
func Write(runFolder string, r Record) error {
	r.Version = version
	if err := r.validate(); err != nil {
		return err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the node's record: %w", err)
	}
	err = InFolder(runFolder, func(dir string) error { return durable.WriteFile(filepath.Join(dir, fileName(r.Run, r.Index)), data) })
	if err != nil {
		return fmt.Errorf("write the node's record: %w", err)
	}
	return nil
}

// Read reads the record of a node of a run. A file server may show what was there before for up
// to a minute, so that it is opened anew for each look. An error that wraps
// fs.ErrNotExist says that there is none yet.
func Read(runFolder, run string, index int) (Record, error) {
	var r Record
	if !isKey(run) {
		return r, fmt.Errorf("%q is not the key of a run", run)
	}
	if err := CheckFolder(runFolder); err != nil {
		return r, err
	}
	path := filepath.Join(runFolder, Folder, fileName(run, index))
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return r, fmt.Errorf("node's record %s can be read by others than its owner (%s): remove it", path, info.Mode())
	}
	data, err := durable.ReadFile(path, maxRecord)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil {
		err = r.validate()
	}
	if err == nil && (r.Index != index || r.Run != run) {
		err = fmt.Errorf("it is of node %d of run %s", r.Index, r.Run)
	}
	if err != nil {
		return Record{}, fmt.Errorf("node's record %s: %w", path, err)
	}
	return r, nil
}

// Remove removes a node's record, unless it is another allocation's by now.
func Remove(runFolder string, r Record) error {
	now, err := Read(runFolder, r.Run, r.Index)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.Secret != r.Secret {
		return nil
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(runFolder, Folder)
	if err := os.Remove(filepath.Join(dir, fileName(r.Run, r.Index))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the node's record: %w", err)
	}
	_ = os.Remove(dir) // by the last one
	return nil
}

func (r Record) validate() error {
	host, port, err := net.SplitHostPort(r.Address)
	switch {
	case r.Version != version:
		return fmt.Errorf("it is of version %d, and this driver knows %d: run the same version of the driver on all nodes", r.Version, version)
	case !isKey(r.Run):
		return fmt.Errorf("its run is %q", r.Run)
	case r.Nodes < 2 || r.Nodes > MaxNodes || r.Index < 0 || r.Index >= r.Nodes:
		return fmt.Errorf("it is of node %d of %d", r.Index, r.Nodes)
	case r.Alloc == "" || filepath.Base(r.Alloc) != r.Alloc:
		return fmt.Errorf("its allocation is %q", r.Alloc)
	case err != nil || net.ParseIP(host) == nil:
		return fmt.Errorf("its address %q is not an IP address with a port", r.Address)
	case r.Ranks < 1 || r.Threads < 1:
		return fmt.Errorf("it has %d ranks with %d threads each", r.Ranks, r.Threads)
	case len(r.Cores) != 0 && len(r.Cores) != r.Ranks:
		return fmt.Errorf("it has cores for %d of %d ranks", len(r.Cores), r.Ranks)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("its port is %q", port)
	}
	_, err = wire.ParseSecret(r.Secret)
	return err
}

// Differs says what two nodes of one run have different, and must not; "" for nothing.
func (r Record) Differs(other Record) string {
	for _, c := range []struct{ what, mine, theirs string }{
		{"number of nodes", strconv.Itoa(r.Nodes), strconv.Itoa(other.Nodes)},
		{"version of the driver", r.Same.Version, other.Same.Version},
		{"solver", r.Same.Solver, other.Same.Solver},
		{"kind of the solver", r.Same.Parallel, other.Same.Parallel},
		{"precision", r.Same.Precision, other.Same.Precision},
		{"MPI", r.Same.MPI, other.Same.MPI},
		{"mpirun", r.Same.MPIRun, other.Same.MPIRun},
		{"input", r.Same.Input, other.Same.Input},
		{"threads of a rank", strconv.Itoa(r.Threads), strconv.Itoa(other.Threads)},
	} {
		if c.mine != c.theirs {
			return fmt.Sprintf("%s is %q on node %s and %q on node %s", c.what, c.mine, r.Node, c.theirs, other.Node)
		}
	}
	return ""
}
