// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// maxWatch bounds what is read back of watch.json, in bytes.
const maxWatch = 4 << 10

// WriteWatch writes watch.json: what a plugin process that watches a run's health leaves to
// the next one (package driver), so that nothing is told anew.
func (r *Record) WriteWatch(data json.RawMessage) error {
	return durable.WriteFile(r.path(durable.WatchFile), data)
}

// ReadWatch reads what WriteWatch wrote; nil where there is nothing that can be read: then
// something may be told anew.
func (r *Record) ReadWatch() json.RawMessage {
	data, err := durable.ReadFile(r.path(durable.WatchFile), maxWatch)
	if err != nil {
		return nil
	}
	return data
}
