// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package tamper does to files, disks and processes what happens to them: files of a run
// folder are out of reach for a while, damaged, or something else; disks are full or
// read-only; pid files forged; affinities set by others. Run folders are given by a path
// where looking never hangs.
package tamper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What a run leaves in its folder, so that others know that it is there, and a later
// start its dumps.
const (
	Lock   = ".lsdyna-run.lock"
	Owner  = ".lsdyna-owner.json"
	Record = ".lsdyna-run.json"
)

// A Doubt takes something from a folder, says what, and returns what puts it back.
type Doubt func(folder string, rng *rand.Rand) (what string, putBack func() error, err error)

// Away takes one of the files out of the folder.
func Away(names ...string) Doubt {
	return func(folder string, rng *rand.Rand) (string, func() error, error) {
		name := names[rng.IntN(len(names))]
		putBack, err := away(folder, name)
		return name, putBack, err
	}
}

func away(folder, name string) (putBack func() error, err error) {
	path, aside := filepath.Join(folder, name), folder+"."+name
	return func() error { return os.Rename(aside, path) }, os.Rename(path, aside)
}

// Unreadable leaves one of the files where the tasks' user may not read it.
func Unreadable(names ...string) Doubt {
	return func(folder string, rng *rand.Rand) (string, func() error, error) {
		name := names[rng.IntN(len(names))]
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err != nil {
			return name, nil, err
		}
		return name, func() error { return os.Chmod(path, info.Mode().Perm()) }, os.Chmod(path, 0)
	}
}

// DamageRecord leaves half of the run's record.
func DamageRecord(folder string, rng *rand.Rand) (what string, putBack func() error, err error) {
	path := filepath.Join(folder, Record)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	left := rng.IntN(len(data))
	// In place: it stays the tasks' user's.
	return fmt.Sprintf("%d of %d bytes left", left, len(data)), func() error { return os.WriteFile(path, data, 0o644) }, os.Truncate(path, int64(left))
}

// ReplaceRecord puts something else in the place of the run's record.
func ReplaceRecord(folder string, rng *rand.Rand) (what string, putBack func() error, err error) {
	path, other := filepath.Join(folder, Record), NoFiles[rng.IntN(len(NoFiles))]
	restore, err := away(folder, Record)
	if err == nil {
		err = other.Put(path)
	}
	return "a " + other.Name, func() error { return errors.Join(os.Remove(path), restore()) }, err
}

// CutBehind cuts a folder's outputs off behind the line of a dump.
func CutBehind(folder, dump string) error {
	for _, name := range []string{"stdout", "messag"} {
		path := filepath.Join(folder, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		line := bytes.Index(text, []byte("write "+dump+" file"))
		if line < 0 {
			return fmt.Errorf("%s does not tell of %s", path, dump)
		}
		if end := bytes.IndexByte(text[line:], '\n'); end >= 0 {
			if err := os.Truncate(path, int64(line+end+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// SpoilOwner does to the record of who has the folder what a user may do to it.
func SpoilOwner(folder string, rng *rand.Rand) (string, error) {
	path := filepath.Join(folder, Owner)
	switch rng.IntN(4) {
	case 0:
		return "removed", os.Remove(path)
	case 1:
		return "truncated", os.Truncate(path, int64(rng.IntN(40)))
	case 2:
		return "garbled", os.WriteFile(path, []byte("{\"version\":1,\"run\":7"), 0o644)
	}
	return NoFiles[0].Name, errors.Join(os.Remove(path), NoFiles[0].Put(path))
}

// A NoFile is something that may be where a file is looked for.
type NoFile struct {
	Name string
	make func(path string) error
}

// NoFiles are some.
var NoFiles = []NoFile{
	{"FIFO", func(path string) error { return unix.Mkfifo(path, 0o666) }},
	{"folder", func(path string) error { return os.Mkdir(path, 0o755) }},
	{"link to a file of root", func(path string) error { return os.Symlink("/etc/hostname", path) }},
	{"link to an output", func(path string) error { return os.Symlink("stdout", path) }},
}

// Put makes it as the tasks' user could.
func (n NoFile) Put(path string) error {
	const nobody = 65534
	return errors.Join(n.make(path), os.Lchown(path, nobody, nobody))
}

// OfADeadNode makes the record that of a run on a machine that nobody knows.
func OfADeadNode(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	record := map[string]any{}
	if err := json.Unmarshal(data, &record); err != nil {
		return err
	}
	delete(record, "ended")
	record["run"] = "00000000-0000-4000-8000-000000000000/lsdyna/00000000"
	record["node"] = map[string]any{
		"id": "6d0f1b3e-0000-4000-8000-0123456789ab", "name": "far-away", "host": "far-away", "boot": "6d0f1b3e-0000-4000-8000-0123456789ab",
	}
	if data, err = json.Marshal(record); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
