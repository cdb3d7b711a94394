// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import "fmt"

// Phase is where a run is in its life.
type Phase int

const (
	// Adopted is a run that was found by its record; Nomad has not asked for it yet.
	Adopted Phase = iota
	// Attached is a run that Nomad started or recovered.
	Attached
	// Stopping is a run that is being stopped on request.
	Stopping
	// Gone is a run of which no process is left and whose cores are free; how it
	// ended is being found out.
	Gone
	// Ended is a run whose result is final.
	Ended
)

func (p Phase) String() string {
	names := [...]string{"adopted", "attached", "stopping", "gone", "ended"}
	if p < 0 || int(p) >= len(names) {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return names[p]
}

// event is what changes a phase.
type event int

const (
	attach   event = iota // Nomad asks for the run
	stop                  // somebody asks for its end
	leave                 // the last of its processes is gone
	conclude              // its result is known
)

// next is the phase after each event; what is not in it cannot happen. An event
// that comes too late changes nothing.
var next = map[Phase]map[event]Phase{
	Adopted:  {attach: Attached, stop: Stopping, leave: Gone},
	Attached: {attach: Attached, stop: Stopping, leave: Gone},
	Stopping: {attach: Stopping, stop: Stopping, leave: Gone},
	Gone:     {attach: Gone, stop: Gone, leave: Gone, conclude: Ended},
	Ended:    {attach: Ended, stop: Ended, leave: Ended, conclude: Ended},
}
