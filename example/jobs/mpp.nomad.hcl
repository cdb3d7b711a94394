# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# An MPP run: two ranks under mpirun, each on a core of its own.

variable "solver" {
  default = "r14-mpp-d"
}

variable "run_dir" {
  default     = "/scratch/bar-impact-mpp"
  description = "folder with a copy of example/decks/solid_bar_impact, writable for the task's user"
}

job "bar-impact-mpp" {
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
        memory   = "20m"
        memory2  = "20m"
      }

      kill_timeout = "10m"

      resources {
        cores  = 2 # one rank on each
        memory = 2000
      }
    }
  }
}
