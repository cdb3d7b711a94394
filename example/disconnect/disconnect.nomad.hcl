# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A run that goes on while its node cannot be heard: nobody else starts it, and when the
# node comes back the run is Nomad's again, with the same process on the same cores.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/disconnect"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "cores" {
  default = 2
}

job "disconnect" {
  type = "batch"

  group "run" {
    # An absence of up to half a day ends nothing. Without this block Nomad calls the
    # allocation lost as soon as the node's heartbeat is missing, and places another one.
    disconnect {
      lost_after = "12h"
      replace    = false
      reconcile  = "keep_original"
    }

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
        solver     = var.solver
        work_dir   = var.run_dir
        input      = "main.k"
        checkpoint = "1h" # what a node that never comes back costs at most
      }

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = 500
      }
    }
  }
}
