# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# Buttons in Nomad's UI, and `nomad job action`, for what an engineer asks of a run that goes
# on: a plot state, a dump, what it has come to. Each goes through Nomad, as a signal to this
# allocation, so that the driver sends the switch, sees what came of it, and tells it in an
# event.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/actions"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "cores" {
  default = 2
}

variable "nomad" {
  default     = "/usr/bin/nomad"
  description = "the nomad program on the node"
}

variable "driver" {
  default     = "/usr/bin/nomad-driver-lsdyna"
  description = "the driver's program on the node"
}

job "actions" {
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
      }

      # NOMAD_TOKEN for the actions below. With ACLs it needs a policy: README.md.
      identity {
        env = true
      }

      env {
        NOMAD_ADDR = "unix://${NOMAD_SECRETS_DIR}/api.sock" # the task's own way to Nomad's API
      }

      # Nomad puts no variables into an action's command: the shell does.
      action "plot" { # sw4: a plot state now
        command = "/bin/sh"
        args    = ["-c", "exec ${var.nomad} alloc signal -s sw4 $NOMAD_ALLOC_ID"]
      }

      action "dump" { # sw3: a dump, and the run goes on
        command = "/bin/sh"
        args    = ["-c", "exec ${var.nomad} alloc signal -s sw3 $NOMAD_ALLOC_ID"]
      }

      action "look" { # what came of it so far
        command = var.driver
        args    = ["inspect", "-running", "."]
      }

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = 500
      }
    }
  }
}
