// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"os"
	"strings"
)

// writeConfig writes the agent's configuration as it now is, and returns the files.
func (a *Agent) writeConfig() ([]string, error) {
	files := map[string]string{"10-harness.hcl": a.agentHCL(), "20-test.hcl": a.Config.HCL}
	paths := make([]string, 0, len(files))
	for _, name := range []string{"10-harness.hcl", "20-test.hcl"} {
		path := a.Path("config", name)
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			return nil, fmt.Errorf("agent configuration: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// agentHCL is the harness's part of the agent's configuration.
func (a *Agent) agentHCL() string {
	var b strings.Builder
	address := a.Config.address()
	// With bind_addr on loopback Nomad finds no address to advertise by itself.
	fmt.Fprintf(&b, `
name       = %[1]q
data_dir   = %[2]q
plugin_dir = %[3]q
bind_addr  = %[4]q
log_level  = "DEBUG"

disable_update_check = true

ports {
  http = %[5]d
  rpc  = %[6]d
  serf = %[7]d
}

advertise {
  http = %[4]q
  rpc  = %[4]q
  serf = %[4]q
}

consul {
  auto_advertise   = false
  client_auto_join = false
  server_auto_join = false
}
`, a.name(), a.Path("data"), a.Path("plugins"), address, a.ports.HTTP, a.ports.RPC, a.ports.Serf)
	if a.Config.Role != ClientOnly {
		b.WriteString(`
server {
  enabled          = true
  bootstrap_expect = 1

  # A slow machine is no dead one.
  heartbeat_grace = "5m"
}
`)
	}
	if a.Config.Role != ServerOnly {
		b.WriteString(a.clientHCL())
	}
	return b.String()
}

// name is the agent's name, and that of its node.
func (a *Agent) name() string {
	if n := a.Config.Network; n != nil {
		return n.Host
	}
	return strings.TrimPrefix(a.Path(), "/")
}

func (a *Agent) clientHCL() string {
	server := a.rpcAddr()
	if a.Config.Server != nil {
		server = a.Config.Server.rpcAddr()
	}
	// The cloud fingerprints each wait for an address that no test machine has.
	hcl := fmt.Sprintf(`
client {
  enabled           = true
  servers           = [%q]
  network_interface = %q
  max_kill_timeout  = "10m"
  reservable_cores  = %q

  options = {
    "fingerprint.denylist" = "env_aws,env_azure,env_gce,env_digitalocean,consul,vault,cni,bridge"
    "driver.allowlist"     = "raw_exec,%s"
  }
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}
`, server, a.Config.networkInterface(), a.Config.ReservableCores, DriverName)
	if a.Config.Plugin != "" {
		config := a.Config.PluginConfig
		if !strings.Contains(config, "status_dir") { // agents beside each other have one each
			config = fmt.Sprintf("    status_dir = %q\n%s", a.Path("status"), config)
		}
		hcl += fmt.Sprintf("\nplugin %q {\n  config {\n%s\n  }\n}\n", PluginName, config)
	}
	return hcl
}
