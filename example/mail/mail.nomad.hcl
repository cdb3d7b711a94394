# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

# A mail when a run is over: a task that Nomad starts after the solver's. README.md says when
# none comes.

variable "solver" {
  default = "r14-smp-d"
}

variable "run_dir" {
  default     = "/scratch/mail"
  description = "folder with a copy of example/decks/shell_box_crush, writable for the task's user"
}

variable "cores" {
  default = 2
}

variable "to" {
  default = "dora@example.com"
}

variable "sendmail" {
  default     = "/usr/sbin/sendmail"
  description = "the program that takes a mail on stdin and its recipient as argument"
}

variable "driver" {
  default     = "/usr/bin/nomad-driver-lsdyna"
  description = "the driver's program on the node"
}

job "mail" {
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

      kill_timeout = "10m"

      resources {
        cores  = var.cores
        memory = 500
      }
    }

    # raw_exec, since it is there without cgroups, too. exec works where its chroot has
    # sendmail and the run folder (chroot_env).
    task "mail" {
      driver = "raw_exec"
      user   = "nobody" # who may read the run folder: as the solver

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        args = ["-c", <<-SCRIPT
          {
            echo "To: $1"
            echo "Subject: LS-DYNA run $NOMAD_JOB_NAME on $(hostname) is over"
            echo
            "$2" inspect "$3"
          } | "$4" "$1"
        SCRIPT
        , "mail", var.to, var.driver, var.run_dir, var.sendmail]
      }

      resources {
        cpu    = 50
        memory = 50
      }
    }
  }
}
