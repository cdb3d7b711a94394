# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# An SMP run on four cores of its own. Nomad counts them, so that no more runs come to a
# node than have cores there; ncpu follows from them, and the driver binds the solver to
# them before it executes. With `ncpu` in config instead, and `cpu` in resources, the driver
# picks the cores, and Nomad does not count them: docs/cores.md.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/bar-impact"
  description = "folder with a copy of example/decks/solid_bar_impact, writable for the task's user"
}

variable "cores" {
  default = 4
}

job "bar-impact" {
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
        report   = true # leaves report.html in the run folder
      }

      kill_timeout = "10m" # time for the dump; capped by the client's max_kill_timeout

      resources {
        cores  = var.cores
        memory = 2000
      }
    }
  }
}
