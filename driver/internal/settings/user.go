// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
)

// defaultUser runs tasks whose job names no user.
const defaultUser = "nobody"

// UserPolicy says who may run tasks.
type UserPolicy struct {
	AllowRoot   bool
	RequireUser bool // jobs name their user; the default is nobody's own
	DeniedUIDs  IDRanges
	DeniedGIDs  IDRanges // primary and supplementary groups
}

func (u *UserPolicy) parse(c Config, p *problems) {
	var err error
	if u.DeniedUIDs, err = ParseIDRanges(c.DeniedUIDs); err != nil {
		p.fault(Key{"denied_host_uids"}, "denied_host_uids: %w", err)
	}
	if u.DeniedGIDs, err = ParseIDRanges(c.DeniedGIDs); err != nil {
		p.fault(Key{"denied_host_gids"}, "denied_host_gids: %w", err)
	}
}

// node is how users are looked up on a node.
type node struct {
	uid, gid  func() int            // of this process
	ownGroups func() ([]int, error) // of this process
	user      func(ctx context.Context, name string) (accounts.User, error)
	groups    func(context.Context, accounts.User) ([]int, error)
	group     func(ctx context.Context, name string) (int, error)
}

func thisNode(a *accounts.Accounts) node {
	return node{
		uid: os.Geteuid, gid: os.Getegid, ownGroups: os.Getgroups,
		user: a.User, groups: a.Groups, group: a.Group,
	}
}

// find finds who a task runs as. An agent that is not root can run tasks only as
// itself.
func (u *UserPolicy) find(ctx context.Context, n node, name, group string) (creds.User, error) {
	if name == "" && u.RequireUser {
		return creds.User{}, errors.New("the job names no user, and this node runs tasks of named users only (require_user = true): set user in the job's task")
	}
	if n.uid() != 0 {
		return n.ownUser(ctx, name, group)
	}
	name = cmp.Or(name, defaultUser)
	account, err := n.user(ctx, name)
	var unknown *accounts.UnknownError
	switch {
	case errors.As(err, &unknown):
		return creds.User{}, fmt.Errorf("%w: create it, or set user in the job's task to one that is", err)
	case err != nil:
		return creds.User{}, err
	case account.UID == 0 && !u.AllowRoot:
		return creds.User{}, fmt.Errorf("user %q is root, which this node does not allow: set another user in the job's task, or have the operator set allow_root = true", name)
	}
	found := taskUser(account)
	if found.Groups, err = n.groups(ctx, account); err != nil {
		return creds.User{}, fmt.Errorf("groups of user %s: %w", found, err)
	}
	if !slices.Contains(found.Groups, found.GID) {
		found.Groups = append(found.Groups, found.GID) // stays when the job names another
	}
	if group != "" {
		if found.GID, err = n.groupOf(ctx, found, group); err != nil {
			return creds.User{}, err
		}
	}
	if err := u.check(found); err != nil {
		return creds.User{}, err
	}
	return found, nil
}

// groupOf finds the group that a job names for its user, who must be in it; root may
// take any.
func (n node) groupOf(ctx context.Context, found creds.User, group string) (int, error) {
	gid, err := n.group(ctx, group)
	var unknown *accounts.UnknownError
	switch {
	case errors.As(err, &unknown):
		return 0, fmt.Errorf("%w: write another group in the job's config block, or its gid", err)
	case err != nil:
		return 0, err
	case found.UID != 0 && gid != found.GID && !slices.Contains(found.Groups, gid):
		return 0, fmt.Errorf("user %s is not in group %q (gid %d): add the user to it, or write one of the user's groups in the job's config block", found, group, gid)
	}
	return gid, nil
}

// check reports why a user may not run tasks on this node: root's group, or the uid
// or one of the groups is among those that the operator denies.
func (u *UserPolicy) check(found creds.User) error {
	if found.GID == 0 && found.UID != 0 && !u.AllowRoot {
		return fmt.Errorf("user %s would run with root's group 0, which this node does not allow: write another of the user's groups (group = …) in the job's config block, set another user in its task, or have the operator set allow_root = true", found)
	}
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

// ownUser is the user of this process, who need not have an entry. The groups are
// those of this process: without root they cannot be others.
func (n node) ownUser(ctx context.Context, name, group string) (creds.User, error) {
	uid := strconv.Itoa(n.uid())
	account, err := n.user(ctx, uid)
	var unknown *accounts.UnknownError
	switch {
	case errors.As(err, &unknown):
		account = accounts.User{UID: n.uid(), Name: uid, Home: "/"}
	case err != nil:
		return creds.User{}, err
	}
	if name != "" && name != account.Name && name != uid {
		return creds.User{}, fmt.Errorf("user %q: the agent runs as %s and not as root, so tasks can only run as %s", name, account.Name, account.Name)
	}
	found := taskUser(account)
	found.GID = n.gid()
	if found.Groups, err = n.ownGroups(); err != nil {
		return creds.User{}, fmt.Errorf("groups of this process: %w", err)
	}
	if group != "" {
		gid, err := n.group(ctx, group)
		if err != nil {
			return creds.User{}, err
		}
		if gid != found.GID {
			return creds.User{}, fmt.Errorf("group %q: the agent does not run as root, so tasks can only run with its own group %d", group, found.GID)
		}
	}
	return found, nil
}

func taskUser(account accounts.User) creds.User {
	return creds.User{UID: account.UID, GID: account.GID, Name: account.Name, Home: account.Home}
}
