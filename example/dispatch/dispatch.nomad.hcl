# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# One job for many runs: each dispatch is a run with its own folder. doe.sh dispatches one
# for each design of a table; LS-OPT's wrapper (example/lsopt) one for each call.

variable "solver" {
  default = "r14-smp-d"
}

variable "cores" {
  default = 2
}

variable "memory" {
  default     = 500
  description = "MB of each run"
}

variable "user" {
  default     = "nobody"
  description = "who the runs are: whoever owns their folders"
}

job "lsdyna-dispatch" {
  type = "batch"

  parameterized {
    payload       = "forbidden"
    meta_required = ["run_dir"] # below one of the node's work_roots
    meta_optional = ["input"]
  }

  meta {
    input = "main.k"
  }

  group "run" {
    # Nothing is tried again: a design that fails is a result. An allocation whose node is
    # lost is replaced all the same.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "lsdyna" {
      driver = "lsdyna"
      user   = var.user

      config {
        solver   = var.solver
        work_dir = "${NOMAD_META_run_dir}"
        input    = "${NOMAD_META_input}"
      }

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = var.memory
      }
    }
  }
}
