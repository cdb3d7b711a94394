// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ownership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// OwnerFile is the file in the run folder that says which run is there, or was there
// last. It is beside LockFile, because not every file system has locks, and because
// a lock does not say whose it is.
const OwnerFile = ".lsdyna-owner.json"

// ownerVersion is the version of OwnerFile that this package writes.
const ownerVersion = 1

// Owner is the run that has a run folder. The task's user can forge the file; all
// that this can do is to let the user's own runs into the folder, or keep them out.
type Owner struct {
	Version   int       `json:"version"`
	Run       string    `json:"run"` // Nomad's task id: no two runs have the same
	Namespace string    `json:"namespace,omitempty"`
	Job       string    `json:"job,omitempty"`
	Alloc     string    `json:"alloc,omitempty"`
	Task      string    `json:"task,omitempty"`
	Node      Node      `json:"node"`
	Since     time.Time `json:"since"` // by the node's clock, for operators

	// InAlloc: the folder is inside the allocation's directory, which Nomad may copy to
	// another node.
	InAlloc bool `json:"in_alloc,omitempty"`

	// Dir is the folder itself, by which a copy of it is known; nil: not known.
	Dir *Dir `json:"folder,omitempty"`

	// Processes are those without which the run is over, and Cgroup lists all of
	// them where there are cgroups.
	Processes []Process `json:"processes,omitempty"`
	Cgroup    string    `json:"cgroup,omitempty"`

	// Turn tells the turns of a run apart (see turn.go); OwnerFile has none.
	Turn string `json:"turn,omitempty"`

	// Ended: the run is over, and nothing of it happens in the folder any more.
	Ended *time.Time `json:"ended,omitempty"`
}

// Node is the machine that a run is on.
type Node struct {
	ID   string `json:"id,omitempty"`   // of the Nomad client
	Name string `json:"name,omitempty"` // of the Nomad client
	Host string `json:"host,omitempty"` // the kernel's name of the machine
	Boot string `json:"boot"`           // the kernel's boot id

	// PIDs is the namespace in which processes have their ids: two clients in system
	// containers may be of one kernel and not see each other's.
	PIDs string `json:"pid_namespace,omitempty"`
}

// ThisNode is the machine of this process, whose Nomad client has the given id and
// name.
func ThisNode(id, name string) Node {
	n := Node{ID: id, Name: name}
	n.Host, _ = os.Hostname()
	n.Boot, _ = procfs.BootID(procfs.Root)
	n.PIDs, _ = os.Readlink(procfs.Root + "/self/ns/pid")
	return n
}

// String names the node for messages.
func (n Node) String() string {
	name, host := printable(n.Name), printable(n.Host)
	switch {
	case name == "" && host == "":
		return "an unnamed node"
	case name == "" || name == host:
		return "node " + host
	case host == "":
		return "node " + name
	}
	return fmt.Sprintf("node %s (host %s)", name, host)
}

// isSameMachine reports whether two records are surely of one machine, of whatever
// boot. A name alone is no proof: images are copied.
func (n Node) isSameMachine(other Node) bool {
	return n.ID != "" && n.ID == other.ID && n.Host != "" && n.Host == other.Host
}

// isHiddenFrom reports whether processes of a node of the same kernel may live and not
// be seen from another. A container that was started anew has another namespace, but
// its client is the same, and all that ran in it has ended.
func (n Node) isHiddenFrom(other Node) bool {
	return n.PIDs != "" && other.PIDs != "" && n.PIDs != other.PIDs && (n.ID == "" || n.ID != other.ID)
}

// Process is one process on the owner's node.
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_time"` // clock ticks after boot
	Solver     bool   `json:"solver,omitempty"`
}

// Dir is a folder of the owner's node.
type Dir struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// String names the run for messages.
func (o Owner) String() string {
	text := "run " + printable(o.Run)
	if o.Task != "" {
		text = "task " + printable(o.Task)
	}
	if o.Job != "" {
		text += " of job " + printable(o.Job)
	}
	if o.Alloc != "" {
		text += fmt.Sprintf(" (allocation %.8s)", printable(o.Alloc))
	}
	return text
}

// printable makes a name that the task's user may have forged fit for a message.
func printable(name string) string {
	const most = 200 // bytes
	return sanitize.Line([]byte(name), most)
}

// isOver reports whether the run of this record is provably not in the folder any
// more, as seen from the run that wants it: it says so itself, or its node was booted
// anew since, or it was on this machine and none of its processes is left. Its age
// proves nothing, and neither does the silence of another machine.
func (o Owner) isOver(wants Owner, endMark string) bool {
	switch {
	case o.Run == wants.Run, o.Ended != nil, endMark == o.Run:
		return true
	case o.InAlloc && wants.InAlloc && o.Alloc != wants.Alloc:
		return true // a copy of another allocation's folder
	}
	return o.isGone(wants.Node)
}

// isGone reports whether the record's processes are provably gone, as seen from a node.
func (o Owner) isGone(here Node) bool {
	switch {
	case o.Node.Boot == "" || here.Boot == "":
		return false
	case o.Node.Boot != here.Boot:
		return o.Node.isSameMachine(here)
	case o.Node.isHiddenFrom(here):
		return false
	case len(o.Processes) == 0 && o.Cgroup == "":
		return false // nothing tells
	}
	return !o.lives()
}

// lives reports whether a process of the run is left on this machine. Whoever asks has
// the rights of the task's user, from whom /proc may hide the processes of others
// (hidepid in proc(5)). A goroutine of its own has this process's rights (creds.User.Do).
func (o Owner) lives() bool {
	lives := make(chan bool)
	go func() { lives <- o.livesHere() }()
	return <-lives
}

func (o Owner) livesHere() bool {
	for _, p := range o.Processes {
		if p.PID == os.Getpid() {
			if isClaimedHere(o.Run) {
				return true
			}
			continue // of a start that has failed
		}
		if (procfs.Identity{PID: p.PID, StartTicks: p.StartTicks, BootID: o.Node.Boot}).Alive(procfs.Root) {
			return true
		}
	}
	if !strings.HasPrefix(o.Cgroup, "/sys/fs/cgroup/") || o.Cgroup != filepath.Clean(o.Cgroup) {
		return false // forged
	}
	pids, err := durable.ReadFile(o.Cgroup+"/cgroup.procs", maxPIDs)
	return len(pids) > 0 && err == nil
}

// Bounds of what is read.
const (
	maxOwner   = 16 << 10 // bytes of OwnerFile
	maxEndMark = 1 << 10  // bytes of LockFile
	maxPIDs    = 1 << 20  // bytes of a cgroup's list
)

// errBadOwner is wrapped when OwnerFile is not what this package writes.
var errBadOwner = errors.New("is damaged")

// ReadOwner reads which run is in the folder, or was there last. The error wraps
// os.ErrNotExist where nothing says so.
func (f *Folder) ReadOwner() (Owner, error) { return f.readOwner(OwnerFile) }

func (f *Folder) readOwner(name string) (Owner, error) {
	file, err := f.Open(name)
	if errors.Is(err, rundir.ErrNotRegular) {
		return Owner{}, fmt.Errorf("%s %w: %w", name, errBadOwner, err)
	}
	if err != nil {
		return Owner{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxOwner+1))
	if err != nil {
		return Owner{}, err
	}
	var o Owner
	if len(data) > maxOwner {
		return o, fmt.Errorf("%s %w: it is too large", name, errBadOwner)
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return o, fmt.Errorf("%s %w: %w", name, errBadOwner, err)
	}
	if o.Version < 1 || o.Run == "" {
		return o, fmt.Errorf("%s %w: it names no run", name, errBadOwner)
	}
	return o, nil
}

// writeOwner replaces OwnerFile whole. The caller has the folder.
func (f *Folder) writeOwner(o Owner) error {
	data, err := o.encode()
	if err != nil {
		return err
	}
	return f.WriteFile(OwnerFile, data)
}

func (o Owner) encode() ([]byte, error) {
	o.Version = ownerVersion
	data, err := json.Marshal(o)
	if err == nil && len(data) > maxOwner {
		err = errors.New("its names are too long")
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", OwnerFile, err)
	}
	return append(data, '\n'), nil
}

// leave notes that a run has left the folder, if the folder is still its own. locked:
// the caller holds a lock that works.
func (f *Folder) leave(run string, locked bool) error {
	o, err := f.ReadOwner()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errBadOwner) || err == nil && (o.Run != run || o.Ended != nil) {
		return nil
	}
	if err != nil {
		return err
	}
	before, now := o, time.Now().UTC()
	o.Ended = &now
	if locked {
		return f.writeOwner(o)
	}
	var owned *OwnedError
	if err := f.succeed(before, o); !errors.Is(err, unix.EEXIST) && !errors.As(err, &owned) {
		return err
	}
	return nil // another run is taking the folder: it knows
}

// Leave notes that a run that is over, and whose processes are gone, has left the
// folder. It does nothing while another has it.
func (f *Folder) Leave(run string) error {
	lock, works, err := f.takeLock()
	if _, ok := errors.AsType[*OwnedError](err); ok {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.leave(run, works), unlock(lock))
}

// CheckOwner returns an *OwnedError when the folder belongs to another run than this
// one by now: what lies there is not this run's.
func (f *Folder) CheckOwner(run string) error {
	o, err := f.ReadOwner()
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errBadOwner):
		return nil
	case err != nil:
		return err
	case o.Run != run:
		return &OwnedError{Folder: f.Path(), Owner: o, Since: true}
	}
	return nil
}
