// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pidfile

import (
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Read parses the pid file at path. It follows no link at the end of the path
// and reads regular files of at most MaxBytes only. The errors are Parse's, or say
// why the file cannot be read.
func Read(path string) (Record, error) {
	data, err := durable.ReadFile(path, MaxBytes)
	if err != nil {
		return Record{}, fmt.Errorf("read pid file: %w", err)
	}
	r, err := Parse(data)
	if err != nil {
		return r, fmt.Errorf("read pid file %s: %w", path, err)
	}
	return r, nil
}

// Write replaces the pid file at path whole (durable.WriteFile).
func Write(path string, r Record) error {
	data, err := r.Encode()
	if err != nil {
		return fmt.Errorf("write pid file %s: %w", path, err)
	}
	return durable.WriteFile(path, data)
}
