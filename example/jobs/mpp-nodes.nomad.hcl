# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# One MPP run on two nodes. The run folder must be on a file system that both have.

variable "solver" {
  default = "r14-mpp-d"
}

variable "run_dir" {
  default     = "/scratch/bar-impact-nodes"
  description = "folder with a copy of example/decks/solid_bar_impact, shared by the nodes, writable for the task's user"
}

variable "ncpu" {
  default     = 2
  description = "ranks on each node"
}

job "bar-impact-nodes" {
  type = "batch"

  group "run" {
    count = 2

    constraint {
      distinct_hosts = true
    }

    network {
      port "launch" {}
    }

    # A node that is lost fails the task on every node; the next try goes on from the dump.
    restart {
      attempts = 3
      interval = "24h"
      delay    = "30s"
      mode     = "fail"
    }

    # On other nodes, when the attempts on these are used up.
    reschedule {
      attempts       = 2
      interval       = "24h"
      delay          = "1m"
      delay_function = "constant"
      unlimited      = false
    }

    task "lsdyna" {
      driver = "lsdyna"

      config {
        solver        = var.solver
        nodes         = 2
        ncpu          = var.ncpu
        work_dir      = var.run_dir
        input         = "main.k"
        start_timeout = "30m"
      }

      kill_timeout = "10m"

      resources {
        cpu    = 2000
        memory = 2000
      }
    }
  }
}
