# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A deck with an error: LS-DYNA may exit with 0 all the same (the stand-in exits with 1).
# The allocation fails, and the first error stands in `nomad alloc status`.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/error"
  description = "folder with a copy of example/decks/error_missing_include, writable for the task's user"
}

job "failing-deck" {
  type = "batch"

  group "run" {
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
      }

      resources {
        cores  = 1
        memory = 500
      }
    }
  }
}
