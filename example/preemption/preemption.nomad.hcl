# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# One of two jobs that share a node: with a low priority it fills the node, and makes room
# for one of high priority, with its dump. The other is this file with -var priority=80.
# Both ask for cpu and ncpu, not for cores: Nomad 1.11 does not preempt for cores.

variable "name" {
  default = "filler"
}

variable "priority" {
  default     = 20
  description = "a job is preempted by one whose priority is higher by 10 at least"
}

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/preemption"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "ncpu" {
  default = 2
}

variable "cpu" {
  default     = 5000
  description = "MHz, by which alone Nomad sees that the node is full: ncpu times that of a core"
}

job "preemption" {
  type     = "batch"
  id       = var.name
  name     = var.name
  priority = var.priority

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
        ncpu     = var.ncpu
        shortage = "retry" # megahertz that do not fit the cores are an error, and no run without cores
      }

      kill_timeout = "10m"

      resources {
        cpu    = var.cpu
        memory = 500
      }
    }
  }
}
