# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A Nomad client with the lsdyna driver. Put the plugin's binary into plugin_dir
# (by rename, never by cp over a running one), this file beside the agent's other
# configuration, and restart the agent: running solvers stay.

plugin_dir = "/opt/nomad/data/plugins" # where packages put the plugin; Nomad's default with data_dir = "/opt/nomad/data"

client {
  enabled = true

  # A solver needs minutes to write its dump. Nomad caps a task's kill_timeout
  # by this, and the default is 30 s.
  max_kill_timeout = "30m"
}

# Without these Nomad collects no statistics of tasks, and its UI has no graphs of their CPU
# and memory; with prometheus_metrics it also serves them at /v1/metrics?format=prometheus.
telemetry {
  publish_allocation_metrics = true
  publish_node_metrics       = true
  prometheus_metrics         = true
}

plugin "nomad-driver-lsdyna" {
  config {
    enabled   = true
    state_dir = "/var/lib/nomad-driver-lsdyna" # root only; on a disk, not on a tmpfs
    # Here each user's own tasks are told, for the status command of those who are not
    # root; "" for none.
    status_dir = "/run/nomad-driver-lsdyna"

    cores {
      usable = ""          # cpuset list such as "0-15,32-47"; "" for all that Nomad may use
      smt    = "isolate"   # one thread a physical core, siblings stay idle; or "share"
      layout = "pack"      # fewest NUMA nodes and caches; or "scatter"
      memory = "preferred" # on the NUMA nodes of the cores while they have any; "strict": nowhere else; or "none"
    }

    # Jobs name a solver; only here is written where it is.
    solver "r14-smp-d" {
      path      = "/opt/lsdyna/ls-dyna_smp_d_R14"
      parallel  = "smp"
      precision = "double"
    }

    solver "r14-mpp-d" {
      path      = "/opt/lsdyna/ls-dyna_mpp_d_R14_openmpi4"
      parallel  = "mpp"
      precision = "double"
      mpi       = "openmpi"
      mpirun    = "/usr/bin/mpirun"
    }

    solver "r14-hyb-d" {
      path      = "/opt/lsdyna/ls-dyna_hyb_d_R14_openmpi4"
      parallel  = "hybrid"
      precision = "double"
      mpi       = "openmpi"
      mpirun    = "/usr/bin/mpirun"
    }

    license {
      type   = "network"
      server = "31010@lic1"
    }

    work_roots    = ["/scratch"] # where run folders may be besides the task directory, which Nomad deletes with its results
    allow_command = false
    allow_root    = false

    denied_host_uids = "0-999" # system accounts run no tasks
    require_user     = false   # true: jobs must name their user; see SECURITY.md on nobody
  }
}
