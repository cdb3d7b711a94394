// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
)

var (
	nobody = creds.User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent", Groups: []int{65534}}
	alice  = creds.User{UID: 1000, GID: 100, Name: "alice", Home: "/home/alice", Groups: []int{100, 27}}
)

var errSilent = &accounts.NoAnswerError{Asked: "a test", Err: errors.New("no answer within 5s")}

// fakeNode knows a few users and groups; this process has the given ids.
func fakeNode(uid, gid int) node {
	users := []accounts.User{
		{UID: 0, GID: 0, Name: "root", Home: "/root"},
		{UID: 0, GID: 100, Name: "toor", Home: "/root"},
		{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent"},
		{UID: 1000, GID: 100, Name: "alice", Home: "/home/alice"},
		{UID: 1001, GID: 0, Name: "wheeler", Home: "/"},
		{UID: 5, GID: 6, Name: "bare", Home: "/"},
		{UID: 7, GID: 7, Name: "lost", Home: "/"},
	}
	groups := map[string][]int{"root": {0}, "toor": {100}, "nobody": {65534}, "alice": {100, 27}, "wheeler": {0, 27}, "bare": {}}
	return node{
		uid:       func() int { return uid },
		gid:       func() int { return gid },
		ownGroups: func() ([]int, error) { return []int{100, 27}, nil },
		user: func(_ context.Context, name string) (accounts.User, error) {
			if name == "silent" {
				return accounts.User{}, errSilent
			}
			for _, u := range users {
				if u.Name == name || strconv.Itoa(u.UID) == name {
					return u, nil
				}
			}
			return accounts.User{}, &accounts.UnknownError{Kind: "user", Name: name}
		},
		groups: func(_ context.Context, u accounts.User) ([]int, error) {
			if ids, ok := groups[u.Name]; ok {
				return slices.Clone(ids), nil
			}
			return nil, errSilent
		},
		group: func(_ context.Context, name string) (int, error) {
			if gid, err := strconv.Atoi(name); err == nil {
				return gid, nil
			}
			if name == "silent" {
				return 0, errSilent
			}
			if gid, ok := map[string]int{"root": 0, "project": 27, "users": 100, "others": 200}[name]; ok {
				return gid, nil
			}
			return 0, &accounts.UnknownError{Kind: "group", Name: name}
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
		group  string
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
		"uid 0 of another name":    {user: "toor", err: `user "toor" is root, which this node does not allow`},
		"others are denied":        {user: "alice", config: Config{DeniedUIDs: "0-999, 1001", DeniedGIDs: "0,1-5"}, want: alice},
		"the uid is denied":        {user: "alice", config: Config{DeniedUIDs: "0-99, 1000"}, err: `user alice has uid 1000, which this node denies (denied_host_uids = "0-99, 1000"): set another user in the job's task`},
		"the default is denied":    {user: "", config: Config{DeniedUIDs: "65534-70000"}, err: `user nobody has uid 65534, which this node denies`},
		"its group is denied":      {user: "alice", config: Config{DeniedGIDs: "100"}, err: `user alice is in group 100, which this node denies (denied_host_gids = "100"): set another user in the job's task`},
		"without groups":           {user: "bare", want: creds.User{UID: 5, GID: 6, Name: "bare", Home: "/", Groups: []int{6}}},
		"its only group is denied": {user: "bare", config: Config{DeniedGIDs: "6"}, err: `user bare is in group 6`},
		"another group is denied":  {user: "alice", config: Config{DeniedGIDs: "1-30"}, err: `user alice is in group 27`},
		"root is allowed, 0 not":   {user: "root", config: Config{AllowRoot: true, DeniedUIDs: "0"}, err: `user root has uid 0`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy(t, c.config).find(t.Context(), fakeNode(0, 0), c.user, c.group)
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
		user, group string
		node        node
		want        creds.User
		err         string
	}{
		"itself by default": {"", "", fakeNode(1000, 200), own, ""},
		"itself by name":    {"alice", "", fakeNode(1000, 200), own, ""},
		"itself by id":      {"1000", "", fakeNode(1000, 200), own, ""},
		"another":           {"root", "", fakeNode(1000, 200), creds.User{}, `user "root": the agent runs as alice and not as root, so tasks can only run as alice`},
		"without an entry":  {"", "", fakeNode(54321, 7), creds.User{UID: 54321, GID: 7, Name: "54321", Home: "/", Groups: []int{100, 27}}, ""},
		"its own group":     {"", "others", fakeNode(1000, 200), own, ""},
		"another group":     {"", "project", fakeNode(1000, 200), creds.User{}, `group "project": the agent does not run as root, so tasks can only run with its own group 200`},
		"an unknown group":  {"", "nowhere", fakeNode(1000, 200), creds.User{}, `group "nowhere" is not known on this node`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy(t, Config{}).find(t.Context(), c.node, c.user, c.group)
			must.Eq(t, c.want, got)
			if c.err == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.err)
		})
	}
}

func TestTaskUser_OfTheGroupThatTheJobNames(t *testing.T) {
	in := func(u creds.User, gid int) creds.User {
		u.GID = gid
		return u
	}
	root := creds.User{Name: "root", Home: "/root", Groups: []int{0}}
	wheeler := creds.User{UID: 1001, Name: "wheeler", Home: "/", Groups: []int{0, 27}}
	for name, c := range map[string]struct {
		user, group string
		config      Config
		want        creds.User
		err         string
	}{
		"by name":                    {user: "alice", group: "project", want: in(alice, 27)},
		"by gid":                     {user: "alice", group: "27", want: in(alice, 27)},
		"the primary one":            {user: "alice", group: "users", want: alice},
		"the only one":               {user: "bare", group: "6", want: creds.User{UID: 5, GID: 6, Name: "bare", Home: "/", Groups: []int{6}}},
		"it is denied":               {user: "alice", group: "project", config: Config{DeniedGIDs: "27"}, err: "user alice is in group 27, which this node denies"},
		"the user's own is denied":   {user: "alice", group: "project", config: Config{DeniedGIDs: "100"}, err: "user alice is in group 100, which this node denies"},
		"not the user's":             {user: "alice", group: "others", err: `user alice is not in group "others" (gid 200): add the user to it, or write one of the user's groups in the job's config block`},
		"not the user's, by gid":     {user: "alice", group: "201", err: `user alice is not in group "201" (gid 201)`},
		"not the default user's":     {group: "project", err: `user nobody is not in group "project"`},
		"unknown":                    {user: "alice", group: "nowhere", err: `group "nowhere" is not known on this node: write another group in the job's config block, or its gid`},
		"root's":                     {user: "alice", group: "root", err: `user alice is not in group "root"`},
		"root's, of a member":        {user: "wheeler", group: "0", err: "user wheeler would run with root's group 0, which this node does not allow"},
		"root's as the primary one":  {user: "wheeler", err: "user wheeler would run with root's group 0, which this node does not allow: write another of the user's groups (group = …) in the job's config block"},
		"another than root's":        {user: "wheeler", group: "project", want: in(wheeler, 27)},
		"root's where it is allowed": {user: "wheeler", config: Config{AllowRoot: true}, want: wheeler},
		"any for root":               {user: "root", group: "others", config: Config{AllowRoot: true}, want: in(root, 200)},
		"a denied one for root":      {user: "root", group: "others", config: Config{AllowRoot: true, DeniedGIDs: "200"}, err: "user root is in group 200, which this node denies"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy(t, c.config).find(t.Context(), fakeNode(0, 0), c.user, c.group)
			must.Eq(t, c.want, got)
			if c.err == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.err)
			must.False(t, accounts.Unsure(err))
		})
	}
}

func TestTaskUser_IsToBeNamedWhereTheNodeSaysSo(t *testing.T) {
	for _, uid := range []int{0, 1000} {
		p := policy(t, Config{RequireUser: true})
		_, err := p.find(t.Context(), fakeNode(uid, 100), "", "")
		must.EqError(t, err, "the job names no user, and this node runs tasks of named users only (require_user = true): set user in the job's task")
		got, err := p.find(t.Context(), fakeNode(uid, 100), "alice", "")
		must.NoError(t, err)
		must.Eq(t, alice, got)
	}
}

// What the directory does not tell is no permission.
func TestTaskUser_WaitsForTheDirectory(t *testing.T) {
	for name, c := range map[string]struct{ user, group string }{
		"about a user":     {"silent", ""},
		"about his groups": {"lost", ""},
		"about a group":    {"alice", "silent"},
	} {
		got, err := policy(t, Config{DeniedGIDs: "1-30"}).find(t.Context(), fakeNode(0, 0), c.user, c.group)
		must.True(t, accounts.Unsure(err), must.Sprintf("%s: %v", name, err))
		must.ErrorContains(t, err, "the directory does not answer")
		must.Eq(t, creds.User{}, got)
	}
	_, err := policy(t, Config{}).find(t.Context(), fakeNode(0, 0), "lost", "")
	must.EqError(t, err, "groups of user lost: the directory does not answer (a test): no answer within 5s")
	n := fakeNode(1000, 100)
	n.user = func(context.Context, string) (accounts.User, error) { return accounts.User{}, errSilent }
	_, err = policy(t, Config{}).find(t.Context(), n, "", "")
	must.True(t, accounts.Unsure(err))
}

func TestTaskUser_OfThisNode(t *testing.T) {
	s, err := Parse(Config{AllowRoot: true})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a := accounts.New(ctx, accounts.Options{})
	defer a.Close()
	defer cancel()
	u, err := s.TaskUser(t.Context(), a, "", "")
	must.NoError(t, err)
	if os.Geteuid() == 0 {
		must.Eq(t, "nobody", u.Name)
		must.Positive(t, u.UID)
		return
	}
	must.Eq(t, os.Geteuid(), u.UID)
}
