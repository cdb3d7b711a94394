// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package state

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// settingsVersion is the version of Settings that this plugin writes. It reads
// all versions up to it.
const settingsVersion = 1

// Settings is what the last plugin that took state_dir was told about cores. The
// plugin writes it down for the status command, which runs without an agent.
type Settings struct {
	Version     int    `json:"version"`
	SMT         string `json:"smt"`          // isolate or share
	Layout      string `json:"layout"`       // pack or scatter
	Usable      string `json:"usable"`       // cores.usable, "" for all
	NomadUsable string `json:"nomad_usable"` // what Nomad may use, as the agent said; "" where it did not
}

// settingsMax bounds the file: two CPU lists.
const settingsMax = 64 << 10

func (s *Store) settingsPath() string { return filepath.Join(s.dir, "settings.json") }

// WriteSettings replaces the settings whole.
func (s *Store) WriteSettings(settings Settings) error {
	settings.Version = settingsVersion
	data, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	return durable.WriteFile(s.settingsPath(), append(data, '\n'))
}

// Settings reads the settings. Where no plugin has written any, the error is
// fs.ErrNotExist.
func (s *Store) Settings() (Settings, error) {
	data, err := durable.ReadFile(s.settingsPath(), settingsMax)
	if err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	var settings Settings
	if err := json.Unmarshal(data, &settings); err != nil {
		return Settings{}, fmt.Errorf("read settings %s: %w", s.settingsPath(), err)
	}
	if settings.Version < 1 || settings.Version > settingsVersion {
		return Settings{}, fmt.Errorf("read settings %s: version %d is not known", s.settingsPath(), settings.Version)
	}
	return settings, nil
}
