// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package member

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// AgentFailure is why a launch agent could have nothing executed on a node. It is
// written on the leading node, for its leader.
type AgentFailure struct {
	Node int    `json:"node"` // its number
	Why  string `json:"why"`
}

// agentFile is the kind of its file.
const agentFile = "agent"

// TellAgentFailure tells the run's leader of it.
func TellAgentFailure(runFolder, run string, f AgentFailure) error {
	if !isKey(run) {
		return fmt.Errorf("%q is not the key of a run", run)
	}
	if err := CheckFolder(runFolder); err != nil {
		return err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode why a launch agent failed: %w", err)
	}
	// Where the folder is not there, no run is led from here.
	return durable.WriteFile(filepath.Join(runFolder, Folder, FileName(agentFile, run, f.Node)), data)
}

// AgentFailures are those of a run, as far as they can be read: there may be none yet.
func AgentFailures(runFolder, run string) (all []AgentFailure) {
	if CheckFolder(runFolder) != nil {
		return nil
	}
	for _, path := range agentFiles(runFolder, run) {
		var f AgentFailure
		if data, err := durable.ReadFile(path, maxRecord); err == nil && json.Unmarshal(data, &f) == nil {
			all = append(all, f)
		}
	}
	return all
}

// ForgetAgentFailures removes those of a run.
func ForgetAgentFailures(runFolder, run string) {
	if CheckFolder(runFolder) != nil {
		return
	}
	for _, path := range agentFiles(runFolder, run) {
		_ = os.Remove(path)
	}
}

func agentFiles(runFolder, run string) (paths []string) {
	dir := filepath.Join(runFolder, Folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), agentFile+"-"+run+"-") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}
