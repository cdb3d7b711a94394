# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A run every night at two, for instance of a deck against which a new version of the solver
# or of a material is compared.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/nightly"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "cores" {
  default = 2
}

job "nightly" {
  type = "batch"

  periodic {
    crons            = ["0 2 * * *"]
    time_zone        = "Europe/Berlin"
    prohibit_overlap = true # one run a folder
  }

  group "run" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    # The next night is another try.
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "lsdyna" {
      driver = "lsdyna"

      config {
        solver   = var.solver
        work_dir = var.run_dir
        input    = "main.k"
        restart  = "never" # with the deck, whatever the last night has left
        report   = true
      }

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = 500
      }
    }
  }
}
