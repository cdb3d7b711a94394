# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A long run on a node that may die: the solver writes a dump every hour, of which the
# newest three stay, and the next start goes on from the newest.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/box-crush-checkpoint"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "checkpoint" {
  default     = "1h"
  description = "interval; this example's run takes less than a minute, so try 10s"
}

job "box-crush-checkpoint" {
  type = "batch"

  group "run" {
    restart {
      attempts = 3
      interval = "24h"
      delay    = "15s"
      mode     = "fail"
    }

    # On another node, where this one cannot do it.
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
        solver          = var.solver
        work_dir        = var.run_dir
        input           = "main.k"
        checkpoint      = var.checkpoint
        checkpoint_keep = 3
        restart         = "auto"
      }

      kill_timeout = "10m"

      resources {
        cores  = 1
        memory = 500
      }
    }
  }
}
