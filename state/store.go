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

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
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

// thisHolder describes this process.
func thisHolder() Holder {
	h := Holder{PID: os.Getpid(), ParentPID: os.Getppid()}
	h.Start, _ = pidfile.StartTime("/proc", h.PID)
	h.ParentStart, _ = pidfile.StartTime("/proc", h.ParentPID)
	h.BootID, _ = pidfile.BootID("/proc")
	return h
}

// Process returns the holder's identity.
func (h Holder) Process() pidfile.Record {
	return pidfile.Record{PID: h.PID, StartTime: h.Start, BootID: h.BootID}
}

// Parent returns the identity of the agent that launched the holder.
func (h Holder) Parent() pidfile.Record {
	return pidfile.Record{PID: h.ParentPID, StartTime: h.ParentStart, BootID: h.BootID}
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
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	for _, d := range []string{dir, filepath.Join(dir, tasksDir)} {
		if err := secureDir(d); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, "plugin.lock")
	held, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.EROFS) {
		// Running tasks must be found again all the same; a lock needs no writing.
		held, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open state_dir: %w", err)
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = held.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &InUseError{Dir: dir, Holder: readHolder(path)}
		}
		return nil, fmt.Errorf("lock state_dir %s: %w", dir, err)
	}
	s.held = held
	// Who holds the lock is for messages and for plugins that nobody uses any more.
	// A full or read-only disk is no reason to lose sight of running tasks.
	if data, err := json.Marshal(thisHolder()); err == nil && held.Truncate(0) == nil {
		_, _ = held.WriteAt(data, 0)
	}
	return s, nil
}

// readHolder reads who holds a state_dir; zero where that cannot be told, as in
// the moment before the holder has written it.
func readHolder(path string) (h Holder) {
	data, err := os.ReadFile(path)
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
	// Unlocked first: a process that is being forked at this moment has the open
	// file too, until it executes something else.
	return errors.Join(unix.Flock(int(s.held.Fd()), unix.LOCK_UN), s.held.Close())
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
	lock, err := r.openLock(os.O_CREATE | os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("lock record %s: %w", dir, err)
	}
	r.lock = lock
	return r, syncDirs(filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir), dir)
}

// syncDirs makes new folders survive a power cut.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("sync record: %w", err)
		}
		err = f.Sync()
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("sync record %s: %w", dir, err)
		}
	}
	return nil
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
// read is left out and told in the error beside the rest.
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
