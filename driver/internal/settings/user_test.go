// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"os/user"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
)

var (
	nobody = creds.User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent", Groups: []int{65534}}
	alice  = creds.User{UID: 1000, GID: 100, Name: "alice", Home: "/home/alice", Groups: []int{100, 27}}
)

// fakeNode knows a few users; this process has the given ids.
func fakeNode(uid, gid int) node {
	accounts := []*user.User{
		{Uid: "0", Gid: "0", Username: "root", HomeDir: "/root"},
		{Uid: "65534", Gid: "65534", Username: "nobody", HomeDir: "/nonexistent"},
		{Uid: "1000", Gid: "100", Username: "alice", HomeDir: "/home/alice"},
		{Uid: "5", Gid: "6", Username: "bare", HomeDir: "/"},
		{Uid: "S-1-5-21", Gid: "0", Username: "odd"},
	}
	groups := map[string][]string{"root": {"0"}, "nobody": {"65534"}, "alice": {"100", "27", "wheel"}}
	return node{
		uid: func() int { return uid },
		gid: func() int { return gid },
		byName: func(name string) (*user.User, error) {
			for _, account := range accounts {
				if account.Username == name {
					return account, nil
				}
			}
			return nil, user.UnknownUserError(name)
		},
		byID: func(id string) (*user.User, error) {
			for _, account := range accounts {
				if account.Uid == id {
					return account, nil
				}
			}
			return nil, user.UnknownUserError(id)
		},
		groups: func(account *user.User) ([]string, error) {
			if ids, ok := groups[account.Username]; ok {
				return ids, nil
			}
			return nil, user.UnknownUserError(account.Username)
		},
	}
}

func policy(t *testing.T, c Config) *UserPolicy {
	s, err := Parse(c)
	must.NoError(t, err)
	return &s.Users
}

func TestTaskUser_OfAnAgentThatIsRoot(t *testing.T) {
	for name, c := range map[string]struct {
		user   string
		config Config
		want   creds.User
		err    string
	}{
		"nobody by default":        {user: "", want: nobody},
		"by name":                  {user: "alice", want: alice},
		"by id":                    {user: "1000", want: alice},
		"root":                     {user: "root", err: `user "root" is root, which this node does not allow: set another user in the job's task, or have the operator set allow_root = true`},
		"root by id":               {user: "0", err: `user "0" is root, which this node does not allow`},
		"root where it is allowed": {user: "root", config: Config{AllowRoot: true}, want: creds.User{Name: "root", Home: "/root", Groups: []int{0}}},
		"unknown":                  {user: "bob", err: `user "bob" is not known on this node: create it, or set user in the job's task to one that is`},
		"an unknown id":            {user: "-1", err: `user "-1" is not known on this node`},
		"an id that is no number":  {user: "odd", err: `user "odd" has no numeric uid and gid`},
		"others are denied":        {user: "alice", config: Config{DeniedUIDs: "0-999, 1001", DeniedGIDs: "0,1-5"}, want: alice},
		"the uid is denied":        {user: "alice", config: Config{DeniedUIDs: "0-99, 1000"}, err: `user alice has uid 1000, which this node denies (denied_host_uids = "0-99, 1000"): set another user in the job's task`},
		"the default is denied":    {user: "", config: Config{DeniedUIDs: "65534-70000"}, err: `user nobody has uid 65534, which this node denies`},
		"its group is denied":      {user: "alice", config: Config{DeniedGIDs: "100"}, err: `user alice is in group 100, which this node denies (denied_host_gids = "100"): set another user in the job's task`},
		"without groups":           {user: "bare", want: creds.User{UID: 5, GID: 6, Name: "bare", Home: "/"}},
		"its only group is denied": {user: "bare", config: Config{DeniedGIDs: "6"}, err: `user bare is in group 6`},
		"another group is denied":  {user: "alice", config: Config{DeniedGIDs: "1-30"}, err: `user alice is in group 27`},
		"root is allowed, 0 not":   {user: "root", config: Config{AllowRoot: true, DeniedUIDs: "0"}, err: `user root has uid 0`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy(t, c.config).find(c.user, fakeNode(0, 0))
			must.Eq(t, c.want, got)
			if c.err == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.err)
		})
	}
}

func TestTaskUser_OfAnAgentThatIsNotRoot(t *testing.T) {
	own := alice
	own.GID = 200 // what the process has, not what its entry says
	for name, c := range map[string]struct {
		user string
		node node
		want creds.User
		err  string
	}{
		"itself by default": {"", fakeNode(1000, 200), own, ""},
		"itself by name":    {"alice", fakeNode(1000, 200), own, ""},
		"itself by id":      {"1000", fakeNode(1000, 200), own, ""},
		"another":           {"root", fakeNode(1000, 200), creds.User{}, `user "root": the agent runs as alice and not as root, so tasks can only run as alice`},
		"without an entry":  {"", fakeNode(54321, 7), creds.User{UID: 54321, GID: 7, Name: "54321", Home: "/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy(t, Config{}).find(c.user, c.node)
			must.Eq(t, c.want, got)
			if c.err == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.err)
		})
	}
}

func TestTaskUser_OfThisNode(t *testing.T) {
	s, err := Parse(Config{AllowRoot: true})
	must.NoError(t, err)
	u, err := s.TaskUser("")
	must.NoError(t, err)
	if thisNode.uid() == 0 {
		must.Eq(t, "nobody", u.Name)
		must.Positive(t, u.UID)
		return
	}
	must.Eq(t, thisNode.uid(), u.UID)
}
