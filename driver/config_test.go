// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// The agent launches the plugin twice just to validate its block; nothing may
// come of that.
func TestSetConfig_WithoutAnAgentHasNoSideEffects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for name, agent := range map[string]*base.AgentConfig{"no agent": nil, "no driver": {}} {
		t.Run(name, func(t *testing.T) {
			d := New(t.Context(), hclog.NewNullLogger())
			cfg := encodeConfig(t, &settings.Config{Enabled: true, StateDir: dir})
			cfg.AgentConfig = agent
			must.NoError(t, d.SetConfig(cfg))
			_, err := os.Stat(dir)
			must.ErrorIs(t, err, os.ErrNotExist)
			must.ErrorContains(t, d.ready(), "no agent configuration")
			_, err = os.Stat(dir)
			must.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func TestSetConfig_DisabledTakesNoStateDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := New(t.Context(), hclog.NewNullLogger())
	must.NoError(t, d.SetConfig(encodeConfig(t, &settings.Config{StateDir: dir})))
	_, err := os.Stat(dir)
	must.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = d.StartTask(&drivers.TaskConfig{ID: "a/b/c"})
	must.ErrorContains(t, err, "disabled on this node")
}

func TestSetConfig_RefusesNonsenseAndKeepsTheOldConfiguration(t *testing.T) {
	d := New(t.Context(), hclog.NewNullLogger())
	must.ErrorContains(t, d.SetConfig(encodeConfig(t, &settings.Config{StateDir: "x"})), PluginName)
	must.Eq(t, "", d.settings().StateDir)
	must.ErrorContains(t, d.SetConfig(&base.Config{PluginConfig: []byte{0xc1}}), "decode plugin configuration")
}

// A missing solver or a state_dir in use may pass; an error would stop the
// whole agent.
func TestSetConfig_LeavesWhatMayPassToTheFingerprint(t *testing.T) {
	n := newNode(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	d := New(ctx, hclog.NewNullLogger())
	config := *n.config
	config.Solvers = map[string]settings.SolverConfig{"gone": {Path: "/nonexistent"}, "standin": {Path: standin}}
	must.NoError(t, d.SetConfig(encodeConfig(t, &config)))
	f := d.fingerprint()
	must.Eq(t, drivers.HealthStateUnhealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "in use by another plugin process")

	n.stop()
	f = d.fingerprint()
	must.Eq(t, drivers.HealthStateHealthy, f.Health)
	must.StrContains(t, f.HealthDescription, "/nonexistent")
	end()
	must.NoError(t, d.Close(t.Context()))
}

func TestPlugin_SaysWhatItIs(t *testing.T) {
	d := New(context.Background(), hclog.NewNullLogger())
	info, err := d.PluginInfo()
	must.NoError(t, err)
	must.Eq(t, "lsdyna", info.Name)
	must.Eq(t, base.PluginTypeDriver, info.Type)
	must.Eq(t, Version, info.PluginVersion)
	caps, err := d.Capabilities()
	must.NoError(t, err)
	must.True(t, caps.SendSignals)
	must.True(t, caps.Exec)
	must.Eq(t, drivers.MountConfigSupportNone, caps.MountConfigs)
	for _, schema := range []func() error{
		func() error { _, err := d.ConfigSchema(); return err },
		func() error { _, err := d.TaskConfigSchema(); return err },
	} {
		must.NoError(t, schema())
	}
	must.False(t, strings.ContainsAny(Version, " \n"))
}
