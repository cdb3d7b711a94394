// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// meeting is the file in the run folder by which the ranks find rank 0.
type meeting struct {
	path string
	name string // of the launch
	size int
}

// content is what the file holds.
type content struct {
	Ranks     int
	Token     string // hexadecimal
	Addresses []string
}

// maxContent bounds what is read.
const maxContent = 1 << 16

// newMeeting has the launch's name in its file's name, in an unreadable form.
// The launch without a name has a file of its own: the proof refuses what an
// earlier one left, and rank 0 replaces it.
func newMeeting(dir, name string, size int) meeting {
	sum := sha256.Sum256([]byte(name))
	return meeting{path: filepath.Join(dir, "standin-ranks."+hex.EncodeToString(sum[:8])), name: name, size: size}
}

// write writes the file whole, for this user only.
func (m meeting) write(token []byte, addresses []string) error {
	text, err := json.Marshal(content{m.size, hex.EncodeToString(token), addresses})
	if err != nil {
		return err
	}
	next := fmt.Sprintf("%s.%s", m.path, hex.EncodeToString(newToken()[:8]))
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write the addresses of rank 0: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync() // a file server tells here that it is full
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(next, m.path)
	}
	if err != nil {
		_ = os.Remove(next)
		return fmt.Errorf("write the addresses of rank 0: %w", err)
	}
	return nil
}

func (m meeting) remove() { _ = os.Remove(m.path) }

// read opens the file anew, so that a network file system looks at the server
// again. A file that others than this user can write or read is refused.
func (m meeting) read() (secret, []string, error) {
	none := func(err error) (secret, []string, error) { return secret{}, nil, err }
	file, err := os.OpenFile(m.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return none(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return none(err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return none(fmt.Errorf("%s is %v: it must be a file that only its user may read", m.path, info.Mode()))
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return none(fmt.Errorf("%s belongs to user %d, but this rank runs as user %d", m.path, owner, os.Geteuid()))
	}
	text, err := io.ReadAll(io.LimitReader(file, maxContent))
	if err != nil {
		return none(err)
	}
	s, addresses, err := m.decode(text)
	if err != nil {
		return none(fmt.Errorf("%s: %w", m.path, err))
	}
	return s, addresses, nil
}

func (m meeting) decode(text []byte) (secret, []string, error) {
	var c content
	if err := json.Unmarshal(text, &c); err != nil {
		return secret{}, nil, err
	}
	token, err := hex.DecodeString(c.Token)
	switch {
	case err != nil || len(token) != tokenSize:
		return secret{}, nil, fmt.Errorf("it holds no token")
	case c.Ranks != m.size:
		return secret{}, nil, fmt.Errorf("it is of a launch of %d ranks, not %d", c.Ranks, m.size)
	case len(c.Addresses) > maxOffered:
		return secret{}, nil, fmt.Errorf("it holds %d addresses", len(c.Addresses))
	}
	return m.secret(token), c.Addresses, nil
}

func (m meeting) secret(token []byte) secret {
	return secret{token: token, launch: m.name, size: m.size}
}
