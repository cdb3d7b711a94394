# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A run in a project's folder on a file server, as a user of the project and with its group:
# where it is, whose it is, and what is left of it.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/projects/p4711/crash"
  description = "folder with a copy of example/decks/shell_box_crush, below one of the node's work_roots"
}

variable "user" {
  default     = "nobody"
  description = "whose rights the run has, on every node and on the file server"
}

variable "group" {
  default     = ""
  description = "group of the files that it writes, one of the user's; \"\" for his primary group"
}

variable "cores" {
  default = 2
}

job "work-roots" {
  type = "batch"

  group "run" {
    # On this node a deck does not get better by trying again.
    restart {
      attempts = 0
      mode     = "fail"
    }

    # Time to mend it; then `nomad job eval -force-reschedule JOB` starts it at once.
    reschedule {
      attempts       = 1
      interval       = "48h"
      delay          = "24h"
      delay_function = "constant"
      unlimited      = false
    }

    task "lsdyna" {
      driver = "lsdyna"
      user   = var.user

      config {
        solver   = var.solver
        work_dir = var.run_dir
        group    = var.group
        input    = "main.k"
      }

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = 500
      }
    }
  }
}
