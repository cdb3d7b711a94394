# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

variable "job_name" {
  description = "name of the job; the pack's name when empty"
  type        = string
  default     = ""
}

variable "region" {
  description = "where the job runs; the agent's region when empty"
  type        = string
  default     = ""
}

variable "namespace" {
  description = "namespace of the job; the caller's when empty"
  type        = string
  default     = ""
}

variable "datacenters" {
  description = "where its nodes are"
  type        = list(string)
  default     = ["*"]
}

variable "node_pool" {
  description = "pool of the nodes; Nomad's default when empty"
  type        = string
  default     = ""
}

variable "priority" {
  description = "of the job, 1 to 100"
  type        = number
  default     = 50
}

variable "user" {
  description = "who the run is: whoever owns its folder; the node's default, nobody, when empty"
  type        = string
  default     = ""
}

variable "solver" {
  description = "name of a solver in the configuration of the nodes"
  type        = string
  default     = "r14-smp-d"
}

variable "run_dir" {
  description = "run folder, below one of the nodes' work_roots"
  type        = string
  default     = "/scratch/run"
}

variable "input" {
  description = "keyword deck in the run folder"
  type        = string
  default     = "main.k"
}

variable "cores" {
  description = "cores of the run, on each of its nodes"
  type        = number
  default     = 4
}

variable "memory" {
  description = "MB, on each of its nodes"
  type        = number
  default     = 4000
}

variable "nodes" {
  description = "Nomad clients that the run is on; more than 1 needs an MPP or hybrid solver and a shared run folder"
  type        = number
  default     = 1
}

variable "restart" {
  description = "auto (from the newest dump of this run), never, or the name of a dump"
  type        = string
  default     = "auto"
}

variable "checkpoint" {
  description = "interval of checkpoints, such as 1h; none when empty"
  type        = string
  default     = ""
}

variable "args" {
  description = "further arguments of the solver"
  type        = list(string)
  default     = []
}

variable "report" {
  description = "leave report.html in the run folder at the end"
  type        = bool
  default     = true
}

variable "energy_ratio" {
  description = "bound of the energy ratio, such as 1.1; none when empty"
  type        = string
  default     = ""
}

variable "silence" {
  description = "bound of the time without progress, such as 1h; none when empty"
  type        = string
  default     = ""
}

variable "watch_action" {
  description = "when a bound is passed: event, dump or stop"
  type        = string
  default     = "event"
}

variable "kill_timeout" {
  description = "time for the dump when the job is stopped; the clients' max_kill_timeout caps it"
  type        = string
  default     = "10m"
}

variable "attempts" {
  description = "further tries on the same node; a deck with an error is tried again, too"
  type        = number
  default     = 0
}

variable "constraints" {
  description = "of the nodes, by attributes of the driver and others"
  type = list(object({
    attribute = string
    operator  = string
    value     = string
  }))
  default = []
}
