// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package accounts finds the users and groups of a node: in /etc/passwd and
// /etc/group, and where those do not suffice through the node's name service switch
// (NSS), behind which SSSD, Active Directory and LDAP are. The plugin is a static
// binary and cannot load NSS modules, so it runs getent and id, which can.
//
// A directory may be slow, down or wrong. Each question has a time, nobody waits for
// another one's question, and an answer that cannot be had is an error of its own:
// never "there is no such user", never a user without groups.
package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"sync"
	"time"
)

// User is an entry of passwd.
type User struct {
	Name string
	UID  int
	GID  int // primary group
	Home string
}

// Patience is how long an answer of the directory is waited for. A directory goes on
// with a question that was given up, so that a later try finds the answer there.
const Patience = 10 * time.Second

// How long an answer is used again. The jobs of a batch start together, and each of
// them asks the same; whoever was just added to a group shall not wait for long.
const (
	keepFound   = time.Minute
	keepUnknown = 2 * time.Second
)

// Accounts finds users and groups.
type Accounts struct {
	ctx      context.Context
	files    files
	programs []string // folders where getent and id are looked for
	patience time.Duration
	now      func() time.Time

	mu      sync.Mutex // guards what follows
	asked   map[question]*answer
	asking  int // answers that are not there yet
	closed  bool
	running sync.WaitGroup // goroutines that wait for a program
}

// files are lookups in /etc/passwd and /etc/group.
type files struct {
	user     func(name string) (*user.User, error)
	userByID func(uid string) (*user.User, error)
	group    func(name string) (*user.Group, error)
	groups   func(*user.User) ([]string, error)
}

// Options are what tests have otherwise than nodes.
type Options struct {
	Programs []string      // folders where getent and id are looked for, by default the system's
	Patience time.Duration // by default Patience
}

// New returns the accounts of this node. Programs that still run when the context
// ends are killed.
func New(ctx context.Context, o Options) *Accounts {
	if len(o.Programs) == 0 {
		o.Programs = []string{"/usr/bin", "/bin"}
	}
	return &Accounts{
		ctx:      ctx,
		files:    files{user.Lookup, user.LookupId, user.LookupGroup, (*user.User).GroupIds},
		programs: o.Programs,
		patience: cmp.Or(o.Patience, Patience),
		now:      time.Now,
		asked:    map[question]*answer{},
	}
}

// UnknownError says that a user or group is not known.
type UnknownError struct {
	Kind  string // "user" or "group"
	Name  string
	Asked string // what was run to find it, "" for nothing
}

// Error says where it was looked for.
func (e *UnknownError) Error() string {
	if e.Asked == "" {
		return fmt.Sprintf("%s %q is not known on this node", e.Kind, e.Name)
	}
	return fmt.Sprintf("%s %q is not known on this node, nor to its directory (%s)", e.Kind, e.Name, e.Asked)
}

// NoAnswerError says that nothing is known, because the directory gave no answer, or
// none that can be used.
type NoAnswerError struct {
	Asked string // what was run
	Err   error
}

// Error says what was asked.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("the directory does not answer (%s): %v", e.Asked, e.Err)
}

// Unwrap returns what went wrong.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// Unsure reports whether a later try may end otherwise than with this error. A name
// that the directory does not know is such a case: getent answers the same for one
// that is not there and for a directory that is down.
func Unsure(err error) bool {
	var silent *NoAnswerError
	var unknown *UnknownError
	return errors.As(err, &silent) || errors.As(err, &unknown) && unknown.Asked != ""
}

// User finds a user by name or uid.
func (a *Accounts) User(ctx context.Context, name string) (User, error) {
	if !isName(name) {
		return User{}, &UnknownError{Kind: "user", Name: name}
	}
	account, err := a.files.user(name)
	if err != nil {
		account, err = a.files.userByID(name)
	}
	if err == nil {
		return userOf(account)
	}
	key := name
	if isNumber(name) {
		uid, err := parseID(name)
		if err != nil { // getent would take its lower 32 bits
			return User{}, &UnknownError{Kind: "user", Name: name}
		}
		key = strconv.Itoa(uid)
	}
	r, err := a.ask(ctx, question{askUser, key})
	if err != nil {
		return User{}, err
	}
	return r.user, nil
}

// userOf reads an entry of /etc/passwd.
func userOf(account *user.User) (User, error) {
	uid, err1 := parseID(account.Uid)
	gid, err2 := parseID(account.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return User{}, fmt.Errorf("user %q of /etc/passwd: %w", account.Username, err)
	}
	return User{Name: account.Username, UID: uid, GID: gid, Home: account.HomeDir}, nil
}

// Groups returns the ids of the groups that a user is in, the primary one among
// them. The directory is asked for users of /etc/passwd, too: it may have groups for
// them.
func (a *Accounts) Groups(ctx context.Context, u User) ([]int, error) {
	if !isName(u.Name) {
		return nil, &NoAnswerError{"id -G", fmt.Errorf("%q is no name to ask for", u.Name)}
	}
	r, err := a.ask(ctx, question{askGroups, u.Name})
	if !errors.Is(err, errNoProgram) {
		return r.groups, err
	}
	const file = "/etc/group"
	ids, err := a.files.groups(&user.User{Username: u.Name, Uid: strconv.Itoa(u.UID), Gid: strconv.Itoa(u.GID)})
	if err != nil {
		return nil, &NoAnswerError{file, err}
	}
	groups := make([]int, len(ids))
	for i, id := range ids {
		if groups[i], err = parseID(id); err != nil {
			return nil, &NoAnswerError{file, err}
		}
	}
	return groups, nil
}

// Group finds the id of a group by its name. A gid stands for itself, whether or not
// there is a name for it.
func (a *Accounts) Group(ctx context.Context, name string) (int, error) {
	if !isName(name) {
		return 0, &UnknownError{Kind: "group", Name: name}
	}
	if isNumber(name) {
		gid, err := parseID(name)
		if err != nil {
			return 0, &UnknownError{Kind: "group", Name: name}
		}
		return gid, nil
	}
	if group, err := a.files.group(name); err == nil {
		gid, err := parseID(group.Gid)
		if err != nil {
			return 0, fmt.Errorf("group %q of /etc/group: %w", name, err)
		}
		return gid, nil
	}
	r, err := a.ask(ctx, question{askGroup, name})
	return r.gid, err
}
