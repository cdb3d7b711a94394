# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# One hybrid run on three nodes, of which the first is larger: two groups of one job make up
# the run's nodes. Each rank has eight threads.

variable "solver" {
  default = "r14-hyb-d"
}

variable "run_dir" {
  default     = "/scratch/box-crush-nodes"
  description = "folder with a copy of example/decks/shell_box_crush, shared by the nodes, writable for the task's user"
}

job "box-crush-nodes" {
  type = "batch"

  # For the job, not a group: the groups must not share a client either.
  constraint {
    distinct_hosts = true
  }

  group "lead" {
    constraint {
      attribute = "${attr.driver.lsdyna.physical_cores}"
      operator  = ">="
      value     = "32"
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
        solver         = var.solver
        nodes          = 3
        ncpu           = 32
        ranks_per_node = 4
        work_dir       = var.run_dir
        input          = "main.k"
        start_timeout  = "30m"
      }

      kill_timeout = "10m"

      resources {
        cpu    = 2000
        memory = 64000
      }
    }
  }

  group "rest" {
    count = 2

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
        solver         = var.solver
        nodes          = 3
        first_node     = 1
        ncpu           = 16
        ranks_per_node = 2
        work_dir       = var.run_dir
        input          = "main.k"
        start_timeout  = "30m"
      }

      kill_timeout = "10m"

      resources {
        cpu    = 2000
        memory = 32000
      }
    }
  }
}
