# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A run to be stopped: `nomad job stop box-crush-stop` writes sw1 into d3kil, the
# solver writes its dump and ends; an event names the dump.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/box-crush-stop"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

job "box-crush-stop" {
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

      config {
        solver   = var.solver
        work_dir = var.run_dir
        input    = "main.k"
        stop     = "sw1"
      }

      kill_timeout = "10m"
      kill_signal  = "SIGTERM"

      resources {
        cores  = 1
        memory = 500
      }
    }
  }
}
