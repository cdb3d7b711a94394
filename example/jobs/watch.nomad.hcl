# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A run whose health has bounds: where its energy ratio, added mass or hourglass energy
# pass one, or nothing tells for an hour that it goes on, an event says so, and the run is
# stopped, with a dump. Its deck writes an ASCII glstat (*DATABASE_GLSTAT).
#
# To see it happen with the stand-in solver of example/solver: a line
# "$ standin: energy_drift=300" at the beginning of the deck.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/box-crush-watch"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

job "box-crush-watch" {
  type = "batch"

  group "run" {
    restart {
      attempts = 2
      mode     = "fail"
    }

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

        watch {
          energy_ratio = 1.1
          added_mass   = "5%"
          hourglass    = "10%"
          silence      = "1h"
          action       = "stop"
        }
      }

      kill_timeout = "10m"

      resources {
        cores  = 1
        memory = 500
      }
    }
  }
}
