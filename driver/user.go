// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// defaultUser runs tasks whose job names no user.
const defaultUser = "nobody"

// taskUser finds who a task runs as: the job's user, or nobody. An agent that
// is not root can run tasks only as itself.
func taskUser(name string, allowRoot bool) (supervisor.User, error) {
	self := os.Geteuid()
	if self != 0 {
		return ownUser(name, self)
	}
	if name == "" {
		name = defaultUser
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return supervisor.User{}, fmt.Errorf("user %q is not known on this node: create it, or set user in the job's task to one that is", name)
		}
	}
	found, err := fromOS(u)
	if err != nil {
		return found, err
	}
	if found.UID == 0 && !allowRoot {
		return found, fmt.Errorf("user %q is root, which this node does not allow: set another user in the job's task, or have the operator set allow_root = true", name)
	}
	return found, nil
}

func ownUser(name string, uid int) (supervisor.User, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		u = &user.User{Uid: strconv.Itoa(uid), Gid: strconv.Itoa(os.Getegid()), Username: strconv.Itoa(uid), HomeDir: "/"}
	}
	if name != "" && name != u.Username && name != u.Uid {
		return supervisor.User{}, fmt.Errorf("user %q: the agent runs as %s and not as root, so tasks can only run as %s", name, u.Username, u.Username)
	}
	found, err := fromOS(u)
	found.GID = os.Getegid()
	return found, err
}

func fromOS(u *user.User) (supervisor.User, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		return supervisor.User{}, fmt.Errorf("user %q has no numeric uid and gid", u.Username)
	}
	found := supervisor.User{UID: uid, GID: gid, Name: u.Username, Home: u.HomeDir}
	ids, err := u.GroupIds()
	if err != nil {
		return found, nil // a user without an entry has its primary group only
	}
	for _, id := range ids {
		if g, err := strconv.Atoi(id); err == nil {
			found.Groups = append(found.Groups, g)
		}
	}
	return found, nil
}
