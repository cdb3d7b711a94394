// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
)

// defaultUser runs tasks whose job names no user.
const defaultUser = "nobody"

// UserPolicy says who may run tasks.
type UserPolicy struct {
	AllowRoot  bool
	DeniedUIDs IDRanges
	DeniedGIDs IDRanges // primary and supplementary groups
}

func (u *UserPolicy) parse(c Config, p *problems) {
	var err error
	if u.DeniedUIDs, err = ParseIDRanges(c.DeniedUIDs); err != nil {
		p.add("denied_host_uids: %w", err)
	}
	if u.DeniedGIDs, err = ParseIDRanges(c.DeniedGIDs); err != nil {
		p.add("denied_host_gids: %w", err)
	}
}

// node is how users are looked up on a node.
type node struct {
	uid, gid func() int // of this process
	byName   func(string) (*user.User, error)
	byID     func(string) (*user.User, error)
	groups   func(*user.User) ([]string, error)
}

var thisNode = node{
	uid: os.Geteuid, gid: os.Getegid,
	byName: user.Lookup, byID: user.LookupId, groups: (*user.User).GroupIds,
}

// find finds who a task runs as. An agent that is not root can run tasks only as
// itself.
func (u *UserPolicy) find(name string, n node) (creds.User, error) {
	if n.uid() != 0 {
		return n.ownUser(name)
	}
	name = cmp.Or(name, defaultUser)
	account, err := n.byName(name)
	if err != nil {
		if account, err = n.byID(name); err != nil {
			return creds.User{}, fmt.Errorf("user %q is not known on this node: create it, or set user in the job's task to one that is", name)
		}
	}
	found, err := n.taskUser(account)
	if err != nil {
		return creds.User{}, err
	}
	if found.UID == 0 && !u.AllowRoot {
		return creds.User{}, fmt.Errorf("user %q is root, which this node does not allow: set another user in the job's task, or have the operator set allow_root = true", name)
	}
	if err := u.check(found); err != nil {
		return creds.User{}, err
	}
	return found, nil
}

// check reports why a user may not run tasks on this node: the uid, or one of the
// groups, is among those that the operator denies.
func (u *UserPolicy) check(found creds.User) error {
	if u.DeniedUIDs.Contains(found.UID) {
		return fmt.Errorf("user %s has uid %d, which this node denies (denied_host_uids = %q): set another user in the job's task", found, found.UID, u.DeniedUIDs)
	}
	for _, gid := range append([]int{found.GID}, found.Groups...) {
		if u.DeniedGIDs.Contains(gid) {
			return fmt.Errorf("user %s is in group %d, which this node denies (denied_host_gids = %q): set another user in the job's task", found, gid, u.DeniedGIDs)
		}
	}
	return nil
}

// ownUser is the user of this process, who need not have an entry.
func (n node) ownUser(name string) (creds.User, error) {
	uid, gid := strconv.Itoa(n.uid()), strconv.Itoa(n.gid())
	account, err := n.byID(uid)
	if err != nil {
		account = &user.User{Uid: uid, Gid: gid, Username: uid, HomeDir: "/"}
	}
	if name != "" && name != account.Username && name != account.Uid {
		return creds.User{}, fmt.Errorf("user %q: the agent runs as %s and not as root, so tasks can only run as %s", name, account.Username, account.Username)
	}
	found, err := n.taskUser(account)
	if err != nil {
		return creds.User{}, err
	}
	found.GID = n.gid()
	return found, nil
}

func (n node) taskUser(account *user.User) (creds.User, error) {
	uid, err1 := strconv.Atoi(account.Uid)
	gid, err2 := strconv.Atoi(account.Gid)
	if err1 != nil || err2 != nil {
		return creds.User{}, fmt.Errorf("user %q has no numeric uid and gid", account.Username)
	}
	found := creds.User{UID: uid, GID: gid, Name: account.Username, Home: account.HomeDir}
	ids, err := n.groups(account)
	if err != nil {
		return found, nil // a user without an entry has its primary group only
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			found.Groups = append(found.Groups, gid)
		}
	}
	return found, nil
}
