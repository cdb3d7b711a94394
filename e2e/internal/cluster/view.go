// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// A View keeps a Nomad that is no Agent, such as one that a user's commands start, to
// cgroups of its own, as agents are kept to theirs.
type View struct{ cgroups *cgroupView }

// NewView makes a view with this name, which no other has.
func NewView(name string) (*View, error) {
	cgroups, err := newCgroupView(name, nil, nil)
	if err == nil && cgroups == nil {
		err = errors.New("no cgroups here that could be changed")
	}
	if err != nil {
		return nil, err
	}
	return &View{cgroups}, nil
}

// Command is exec.Command in the view.
func (v *View) Command(name string, args ...string) *exec.Cmd {
	return v.cgroups.command(name, args...)
}

// Close kills what still runs in the view, and removes it.
func (v *View) Close() error {
	left, err := v.cgroups.processes()
	for _, p := range left {
		if kill := unix.Kill(p.PID, unix.SIGKILL); kill != nil && !errors.Is(kill, unix.ESRCH) {
			err = errors.Join(err, fmt.Errorf("kill %s: %w", p, kill))
		}
	}
	return errors.Join(err, v.cgroups.remove())
}
