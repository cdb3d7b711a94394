// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package runfolder

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/workplace"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// Owner is what a run folder tells other nodes of the run that has it.
func Owner(id state.ID, d *state.Details) ownership.Owner {
	o := ownership.Owner{
		Run: id.String(), Namespace: d.Namespace, Job: d.JobID, Alloc: id.Alloc, Task: id.Task,
		Node: ownership.ThisNode(d.NodeID, d.NodeName), Since: d.StartedAt.UTC(),
		InAlloc: d.InAlloc(),
	}
	if d.RunInode != 0 {
		o.Dir = &ownership.Dir{Device: d.RunDevice, Inode: d.RunInode}
	}
	return o
}

// Workplace is where the solver of a record works.
func Workplace(d *state.Details, rec pidfile.Record) workplace.Place {
	return workplace.Place{
		Solver: rec.Solver(), Path: filepath.Join(d.RunBase, d.RunFolder),
		Dir: rundir.DirID{Dev: d.RunDevice, Ino: d.RunInode},
	}
}

// Past is what a run folder keeps of a run from its start on.
func Past(id state.ID, d *state.Details) output.PastRun {
	return output.PastRun{Run: id.String(), Job: d.JobID, Node: d.NodeName, Started: d.StartedAt.UTC()}
}

// DecodeOutputs reads what a record remembers of outputs that were there before
// the run.
func DecodeOutputs(data json.RawMessage) (rundir.Outputs, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var old rundir.Outputs
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, fmt.Errorf("decode old outputs: %w", err)
	}
	return old, nil
}

// Nomad deletes an allocation's folder when it forgets the allocation: hours after its
// end, sooner where the disk is full.
const (
	deletedLater = "Nomad deletes it with all results some hours after the job has ended"
	keptSafe     = "a work_dir below one of the node's work_roots%s is kept"
)

// InAllocWarning says at the start of a run in its allocation's folder what becomes of
// its results; "" for any other run. roots are the node's work_roots.
func InAllocWarning(d *state.Details, roots []string) string {
	if !d.InAlloc() {
		return ""
	}
	named := ""
	if len(roots) > 0 {
		named = " (" + strings.Join(roots, ", ") + ")"
	}
	return fmt.Sprintf("The run folder is inside the allocation: %s; "+keptSafe, deletedLater, named)
}

// InAllocAdvice says at the end of a run in its allocation's folder where its results
// are to be fetched from in time; "" for any other run.
func InAllocAdvice(d *state.Details, folder string) string {
	if !d.InAlloc() {
		return ""
	}
	return fmt.Sprintf("The results are in %s, inside the allocation: copy them away, %s", folder, deletedLater)
}
