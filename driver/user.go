// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// defaultUser runs tasks whose job names no user.
const defaultUser = "nobody"

// taskUser finds who a task runs as: the job's user, or nobody. An agent that
// is not root can run tasks only as itself.
func taskUser(name string, c *Config) (supervisor.User, error) {
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
	if found.UID == 0 && !c.AllowRoot {
		return found, fmt.Errorf("user %q is root, which this node does not allow: set another user in the job's task, or have the operator set allow_root = true", name)
	}
	return found, c.denies(found)
}

// denies tells why a user may not run tasks on this node: the uid, or one of
// the groups, is among those that the operator denies.
func (c *Config) denies(u supervisor.User) error {
	uids, err := parseIDs(c.DeniedUIDs)
	if err != nil {
		return fmt.Errorf("denied_host_uids: %w", err)
	}
	gids, err := parseIDs(c.DeniedGIDs)
	if err != nil {
		return fmt.Errorf("denied_host_gids: %w", err)
	}
	if uids.contain(u.UID) {
		return fmt.Errorf("user %s has uid %d, which this node denies (denied_host_uids = %q): set another user in the job's task", u, u.UID, c.DeniedUIDs)
	}
	for _, gid := range append([]int{u.GID}, u.Groups...) {
		if gids.contain(gid) {
			return fmt.Errorf("user %s is in group %d, which this node denies (denied_host_gids = %q): set another user in the job's task", u, gid, c.DeniedGIDs)
		}
	}
	return nil
}

// idRanges are user or group ids, each range with both its ends.
type idRanges [][2]int

func (r idRanges) contain(id int) bool {
	for _, between := range r {
		if between[0] <= id && id <= between[1] {
			return true
		}
	}
	return false
}

// parseIDs reads a list as raw_exec takes it: "0-999,65534".
func parseIDs(list string) (idRanges, error) {
	var ranges idRanges
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 32)
		b, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 32)
		if err1 != nil || err2 != nil || a > b {
			return nil, fmt.Errorf("%q is no id or range of ids; write a list such as \"0-999,65534\"", part)
		}
		ranges = append(ranges, [2]int{int(a), int(b)})
	}
	return ranges, nil
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
