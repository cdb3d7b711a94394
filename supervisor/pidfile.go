// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// pidFile is one task's pid file. It is parsed and written only when it changes: a
// plugin that restarts asks several times for each of its tasks, and then every few
// seconds.
type pidFile struct {
	path string

	mu     sync.Mutex // guards what was read last
	data   []byte
	record pidfile.Record
	err    error
}

// read is pidfile.Read.
func (f *pidFile) read() (pidfile.Record, error) {
	data, err := durable.ReadFile(f.path, pidfile.MaxBytes)
	if err != nil {
		return pidfile.Record{}, fmt.Errorf("read pid file: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil || !bytes.Equal(data, f.data) {
		f.data = data
		f.record, f.err = pidfile.Parse(data)
	}
	r := f.record
	r.Cores, r.Extra = slices.Clone(r.Cores), maps.Clone(r.Extra)
	if f.err != nil {
		return r, fmt.Errorf("read pid file %s: %w", f.path, f.err)
	}
	return r, nil
}

// write is pidfile.Write, unless the file says so already: a write waits for the
// disk, and after a restart each task may be bound to what it had.
func (f *pidFile) write(r pidfile.Record) error {
	want, err := r.Encode()
	if err != nil {
		return err
	}
	is, err := durable.ReadFile(f.path, pidfile.MaxBytes)
	if err == nil && bytes.Equal(is, want) {
		return nil
	}
	return pidfile.Write(f.path, r)
}
