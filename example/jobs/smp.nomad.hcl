# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# An SMP run on four cores that the driver picks.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/bar-impact"
  description = "folder with a copy of example/decks/solid_bar_impact, writable for the task's user"
}

job "bar-impact" {
  type = "batch"

  group "run" {
    # A deck does not get better by trying again; a lost node does.
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "lsdyna" {
      driver = "lsdyna"

      config {
        solver   = var.solver
        work_dir = var.run_dir
        input    = "main.k"
        ncpu     = 4
        report   = true # leaves report.html in the run folder
      }

      kill_timeout = "10m" # time for the dump; capped by the client's max_kill_timeout

      resources {
        cpu    = 4000
        memory = 2000
      }
    }
  }
}
