// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// ID names one run of one task: the record's place below state_dir.
type ID struct {
	Alloc      string
	Task       string
	Invocation string
}

func (id ID) String() string { return id.Alloc + "/" + id.Task + "/" + id.Invocation }

// ParseID splits Nomad's task ID, "<alloc id>/<task>/<invocation>".
func ParseID(taskID string) (ID, error) {
	parts := strings.Split(taskID, "/")
	if len(parts) != 3 {
		return ID{}, fmt.Errorf("task ID %q is not <alloc id>/<task>/<invocation>", taskID)
	}
	id := ID{Alloc: parts[0], Task: parts[1], Invocation: parts[2]}
	return id, checkID(id)
}

// checkID refuses what would lead out of the record's place.
func checkID(id ID) error {
	for _, part := range []string{id.Alloc, id.Task, id.Invocation} {
		if part == "" || part == "." || part == ".." || len(part) > 200 || strings.ContainsAny(part, "/\x00") {
			return fmt.Errorf("task ID %q cannot name a record: %q is not a plain name", id, part)
		}
	}
	return nil
}

// ErrInUse means that another plugin process works on the same state_dir.
var ErrInUse = errors.New("is in use by another plugin process")

// InUseError is an ErrInUse that names the process.
type InUseError struct {
	Dir    string
	Holder Holder // zero where it is not known
}

func (e *InUseError) Error() string {
	if e.Holder.PID == 0 {
		return fmt.Sprintf("state_dir %s %v", e.Dir, ErrInUse)
	}
	return fmt.Sprintf("state_dir %s %v (pid %d)", e.Dir, ErrInUse, e.Holder.PID)
}

// Is makes errors.Is(err, ErrInUse) true.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// Holder is the plugin process that has a state_dir, and the agent that
// launched it. Times are clock ticks after boot.
type Holder struct {
	PID         int    `json:"pid"`
	Start       uint64 `json:"start_time"`
	ParentPID   int    `json:"parent_pid"`
	ParentStart uint64 `json:"parent_start_time"`
	BootID      string `json:"boot_id"`
}

// launcher is who launched this process, found as it begins. An agent may be killed before
// its plugin has taken state_dir: the parent is another one then, of which nobody could tell
// that the agent is dead.
var launcher = func() Holder {
	h := Holder{ParentPID: os.Getppid()}
	h.ParentStart, _ = procfs.StartTicks(procfs.Root, h.ParentPID)
	return h
}()

// thisHolder describes this process.
func thisHolder() Holder {
	h := launcher
	h.PID = os.Getpid()
	h.Start, _ = procfs.StartTicks(procfs.Root, h.PID)
	h.BootID, _ = procfs.BootID(procfs.Root)
	return h
}

// Process returns the holder's identity.
func (h Holder) Process() procfs.Identity {
	return procfs.Identity{PID: h.PID, StartTicks: h.Start, BootID: h.BootID}
}

// Parent returns the identity of the agent that launched the holder.
func (h Holder) Parent() procfs.Identity {
	return procfs.Identity{PID: h.ParentPID, StartTicks: h.ParentStart, BootID: h.BootID}
}

// Store is a state_dir that was checked and is held by this process.
type Store struct {
	dir  string
	held *os.File // flocked for as long as this process lives
}

const tasksDir = "tasks"

// Open checks state_dir, makes it where it is missing, and takes it for this
// process. It returns ErrInUse (wrapped) while another process has it: two
// plugins with one state_dir would hand out the same cores.
func Open(dir string) (*Store, error) { return openWith(dir, takePluginLock) }

// openWith is Open with its way to take the lock.
func openWith(dir string, take func(path string, t turn) (*os.File, error)) (*Store, error) {
	s := &Store{dir: dir}
	for _, d := range []string{dir, filepath.Join(dir, tasksDir)} {
		if err := secureDir(d); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, pluginLock)
	t, err := takeTurn(dir)
	if err == nil {
		defer t.end()
		s.held, err = take(path, t)
	}
	if errors.Is(err, durable.ErrHeld) {
		return nil, &InUseError{Dir: dir, Holder: readHolder(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("open state_dir: %w", err)
	}
	// Who holds the lock is for messages, for plugins that nobody uses any more, and
	// for those that cannot end. A full or read-only disk is no reason to lose sight of
	// running tasks.
	if data, err := json.Marshal(thisHolder()); err == nil && s.held.Truncate(0) == nil {
		_, _ = s.held.WriteAt(data, 0)
	}
	return s, nil
}

// readHolder reads who holds a state_dir; zero where that is not known, as in
// the moment before the holder has written it.
func readHolder(path string) (h Holder) {
	const most = 4096 // bytes
	data, err := durable.ReadFile(path, most)
	if err != nil || json.Unmarshal(data, &h) != nil {
		return Holder{}
	}
	return h
}

// OpenReadOnly opens a state_dir to look at its records, also while a plugin
// works on it.
func OpenReadOnly(dir string) (*Store, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir}, nil
}

// Close gives state_dir back. Records and running solvers stay as they are.
func (s *Store) Close() error {
	if s.held == nil {
		return nil
	}
	return durable.Unlock(s.held)
}

// Dir returns the state_dir's path.
func (s *Store) Dir() string { return s.dir }

// Create makes the record of a new run and takes its lock. A record of the
// same name that is over is removed first: Nomad repeats a task ID when the
// plugin died inside StartTask.
func (s *Store) Create(id ID) (*Record, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	dir := s.path(id)
	if old, err := s.Record(id); err == nil {
		if old.Locked() {
			return nil, fmt.Errorf("record %s: its supervisor still runs", dir)
		}
		if err := old.Remove(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make record: %w", err)
	}
	r := &Record{ID: id, Dir: dir}
	if err := r.takeLock(os.O_RDWR | os.O_CREATE | os.O_EXCL); err != nil {
		return nil, err
	}
	for _, new := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir), dir} {
		if err := durable.SyncDir(new); err != nil {
			return r, fmt.Errorf("make record: %w", err)
		}
	}
	return r, nil
}

// Record opens the record of one run.
func (s *Store) Record(id ID) (*Record, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	r := &Record{ID: id, Dir: s.path(id)}
	info, err := os.Lstat(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open record %s: not a folder", r.Dir)
	}
	return r, nil
}

// Runs returns the records of one task of one allocation, and with an empty
// task those of the whole allocation.
func (s *Store) Runs(alloc, task string) ([]*Record, error) {
	all, err := s.Records()
	var runs []*Record
	for _, r := range all {
		if r.ID.Alloc == alloc && (task == "" || r.ID.Task == task) {
			runs = append(runs, r)
		}
	}
	return runs, err
}

// Records returns every record, in the order of their names. What cannot be
// read is left out and named in the error beside the rest.
func (s *Store) Records() ([]*Record, error) {
	var records []*Record
	var errs []error
	list := func(dir string) []fs.DirEntry {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("list records: %w", err))
		}
		return entries
	}
	root := filepath.Join(s.dir, tasksDir)
	for _, alloc := range list(root) {
		for _, task := range list(filepath.Join(root, alloc.Name())) {
			for _, run := range list(filepath.Join(root, alloc.Name(), task.Name())) {
				id := ID{Alloc: alloc.Name(), Task: task.Name(), Invocation: run.Name()}
				if run.IsDir() && checkID(id) == nil {
					records = append(records, &Record{ID: id, Dir: s.path(id)})
				}
			}
		}
	}
	return records, errors.Join(errs...)
}

func (s *Store) path(id ID) string {
	return filepath.Join(s.dir, tasksDir, id.Alloc, id.Task, id.Invocation)
}
