// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package accounts

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName   = 256   // bytes; names of directories end with their domain
	maxGroups = 65536 // of a process: NGROUPS_MAX of Linux
)

// isName reports whether a text can be the name of a user or group. Names are
// arguments of programs and fields of lines: none is an option or holds a separator.
// "+" begins entries that ask NIS. Names of Active Directory have blanks, backslashes
// and letters of all languages.
func isName(name string) bool {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.HasPrefix(name, " ") || strings.HasSuffix(name, " ") {
		return false
	}
	if name[0] == '-' || name[0] == '+' || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r == ':' || r == '/' || !unicode.IsPrint(r) })
}

// isNumber reports whether a text has nothing but digits.
func isNumber(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// parseID reads a user or group id. The kernel's ids have 32 bits, and the last one
// means "unchanged" to it: with either, root would stay root where it should become
// the user.
func parseID(text string) (int, error) {
	const unchanged = 1<<32 - 1
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil || !isNumber(text) || id == unchanged {
		return 0, fmt.Errorf("%.20q is no user or group id", text)
	}
	return int(id), nil
}

// parseUser reads the line that getent passwd prints for one user.
func parseUser(out []byte) (User, error) {
	line, rest, _ := bytes.Cut(out, []byte("\n"))
	fields := strings.Split(string(line), ":")
	if len(rest) > 0 || len(fields) != 7 {
		return User{}, errors.New("not one line with the seven fields of passwd")
	}
	u := User{Name: fields[0], Home: fields[5]}
	// id, which is asked for the groups, takes a name of digits for an id.
	if !isName(u.Name) || isNumber(u.Name) {
		return User{}, fmt.Errorf("%.40q cannot be the name of a user", u.Name)
	}
	var err1, err2 error
	u.UID, err1 = parseID(fields[2])
	u.GID, err2 = parseID(fields[3])
	if err := errors.Join(err1, err2); err != nil {
		return User{}, err
	}
	if strings.ContainsFunc(u.Home, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return User{}, errors.New("a home directory with control characters")
	}
	if !filepath.IsAbs(u.Home) {
		u.Home = "/"
	}
	return u, nil
}

// parseGroup reads the gid in the line that getent group prints for one group. The
// list of its members behind it may be long, and cut.
func parseGroup(out []byte) (int, error) {
	line, _, _ := bytes.Cut(out, []byte("\n"))
	fields := strings.SplitN(string(line), ":", 4)
	if len(fields) != 4 {
		return 0, errors.New("not a line with the four fields of group")
	}
	if !isName(fields[0]) {
		return 0, fmt.Errorf("%.40q cannot be the name of a group", fields[0])
	}
	return parseID(fields[2])
}

// parseGroups reads the ids that id -G prints.
func parseGroups(out []byte) ([]int, error) {
	line, rest, _ := bytes.Cut(out, []byte("\n"))
	texts := strings.Fields(string(line))
	if len(rest) > 0 || len(texts) == 0 || len(texts) > maxGroups {
		return nil, errors.New("not one line with group ids")
	}
	groups := make([]int, len(texts))
	for i, text := range texts {
		var err error
		if groups[i], err = parseID(text); err != nil {
			return nil, err
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}
